"""A norm whose output only fed a reused branch is not computed; the samples keep their bits."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from smoothbench.caching import Schedule, cached, find_sites
from smoothbench.models.uvit.architecture import UViT
from tests.support.tiny_pipelines import tiny_stable_audio_pipeline

EVALS = 6


class Counter(TorchDispatchMode):
    """Counts layer norms over more than one token."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.norms += func is torch.ops.aten.native_layer_norm.default
        return func(*args, **(kwargs or {}))


def stable_audio() -> tuple[nn.Module, dict[str, Tensor]]:
    inputs = {
        "hidden_states": torch.randn(2, 8, 24),
        "encoder_hidden_states": torch.randn(2, 5, 32),
        "global_hidden_states": torch.randn(2, 1, 64),
    }
    return tiny_stable_audio_pipeline().transformer, inputs


def uvit() -> tuple[nn.Module, dict[str, Tensor]]:
    model = UViT(img_size=8, patch_size=2, in_chans=4, embed_dim=16, depth=2, num_heads=2, num_classes=10)
    return model, {"x": torch.randn(2, 4, 8, 8), "class_labels": torch.zeros(2).long()}


def sample(model: nn.Module, inputs: dict[str, Tensor]) -> list[Tensor]:
    outputs = []
    with torch.no_grad():
        for e in range(EVALS):
            output = model(**{k: v * (1 + e) for k, v in inputs.items()}, timestep=torch.full((2,), 9.0 - e))
            outputs.append(output if isinstance(output, Tensor) else output[0])
    return outputs


@pytest.mark.parametrize("build", [stable_audio, uvit])
def test_unread_norms_are_left_out(build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model, inputs = build()
    sites = find_sites(model)
    schedule = Schedule.steps(sites, [e % 3 == 0 for e in range(EVALS)])
    with Counter() as bare:
        sample(model, inputs)
    with Counter() as counter, cached(model, schedule):
        output = sample(model, inputs)
    reused = EVALS - sum(row[0] for row in schedule.computed)
    assert counter.norms == bare.norms - reused * sum(site.norm is not None for site in sites)
    # all computed for one token
    monkeypatch.setattr("smoothbench.caching.engine._is_plain", lambda norm: False)
    with cached(model, schedule):
        assert all(map(torch.equal, sample(model, inputs), output))
