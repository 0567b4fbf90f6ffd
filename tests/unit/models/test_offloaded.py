"""Text encoders run once a prompt, and are on the device no longer than that."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from smoothbench.models.base.offloaded import Offloaded, can_be_offloaded
from smoothbench.models.pipeline.model import Pipeline
from smoothbench.protocols import EmbedsPrompts
from smoothbench.sampling.loop import latents, silent
from smoothbench.solvers.pipeline_scheduler import PipelineScheduler
from tests.support import opensora as video
from tests.support import stable_audio as audio
from tests.support.pretended_cuda import CUDA, pretended_cuda
from tests.support.saved_pipelines import FAMILIES, PROMPTS, built

CPU = torch.device("cpu")
STEPS = 2


def is_on_device(module: nn.Module) -> bool:
    places = {tensor.device for tensor in (*module.parameters(), *module.buffers())}
    assert len(places) == 1
    return places == {CUDA}


@contextmanager
def trips(offloaded: Offloaded, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """A list with an entry for each time that the modules are brought to the device within the context."""
    brought, bring = list[int](), offloaded._bring
    with monkeypatch.context() as patch:
        patch.setattr(offloaded, "_bring", lambda: (brought.append(1), bring()))
        yield brought


class Tied(nn.Module):
    """Two layers of one weight, and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
        self.second.weight = self.first.weight
        self.register_buffer("shift", torch.ones(3))

    @torch.no_grad()  # there are no gradients on the pretended device
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert is_on_device(self)
        return self.second(self.first(x)) + self.shift


def test_modules_come_for_a_context_or_a_forward() -> None:
    with pretended_cuda() as ledger:
        module = Tied()
        weight, before = module.first.weight, module.first.weight.clone()
        offloaded, x = Offloaded([module], CUDA), torch.ones(2, 3, device=CUDA)
        with ledger.since() as events, torch.inference_mode():
            outside = module(x)
        assert len(events) == 2, "a copy of each tensor to the device, and none back"
        assert not is_on_device(module)
        with offloaded, offloaded, ledger.since() as events:
            assert torch.equal(module(x), outside) and not events
        assert not is_on_device(module) and module.second.weight is module.first.weight is weight
        assert torch.equal(weight, before) and weight.requires_grad
        with pytest.raises(RuntimeError):  # of another width
            module(torch.ones(2, 4, device=CUDA))
        assert not is_on_device(module) and not offloaded.is_on_device


def test_without_room_all_stays_in_main_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    with pretended_cuda():
        module = Tied()
        offloaded, original = Offloaded([module], CUDA), torch.Tensor.to

        def to(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            if CUDA in args and tensor.ndim == 1:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return original(tensor, *args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(torch.Tensor, "to", to)
            with pytest.raises(torch.OutOfMemoryError):
                module(torch.ones(2, 3, device=CUDA))
            with pytest.raises(torch.OutOfMemoryError), offloaded:
                pass
        assert not is_on_device(module) and not offloaded.is_on_device
        assert module(torch.ones(2, 3, device=CUDA)).shape == (2, 3)


class Quantised(nn.Parameter):
    """Stands for weights of a library that packs them."""


def test_weights_of_other_kinds_are_left_alone() -> None:
    module = nn.Linear(3, 3)
    assert can_be_offloaded(module)
    module.weight = Quantised(module.weight.data)
    assert not can_be_offloaded(module)


@pytest.mark.parametrize("support", [audio, video], ids=["stable_audio", "opensora"])
def test_a_text_encoder_leaves_before_the_denoiser_runs(
    support: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All prompts in one trip, one more for a new one, and samples as on the CPU."""
    support.published(tmp_path)
    build = support.stable_audio if support is audio else support.opensora
    solver, batches = support.SOLVER, [[0, 1], [2, 3]]
    expected = [latents(build(tmp_path), solver, batch, silent) for batch in batches]
    with pretended_cuda() as ledger:
        model = build(tmp_path, device=CUDA)
        assert isinstance(model, EmbedsPrompts)
        encoder, offloaded = model.text._t5.encoder, model.text._t5.offloaded
        away = list[bool]()
        model.denoiser.register_forward_pre_hook(lambda *_: away.append(not is_on_device(encoder)))
        with trips(offloaded, monkeypatch) as brought:
            model.embed(batches)
            samples = [latents(model, solver, batch, silent) for batch in batches]
        assert len(brought) == 1 and all(away) and len(away) == 2 * len(solver.coordinates) * model.forwards
        with trips(offloaded, monkeypatch) as brought:
            latents(model, solver, [999_000_000], silent)  # a prompt that calibrates
            model.embed(batches)
        assert len(brought) == 1
        assert ledger.launches > 0
        for batch, same in zip(samples, expected, strict=True):
            torch.testing.assert_close(batch.cpu(), same, rtol=1e-4, atol=1e-4 * float(same.abs().max()))


def test_a_pipelines_text_encoders_do_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches that are expected are encoded in one trip; the same bits as with encoders that stay."""
    built(FAMILIES["FLUX"]).save_pretrained(tmp_path / "FLUX")
    batches = [[0, 1], [2, 3], [4]]

    def pipeline() -> Pipeline:
        settings = {"prompts": list(PROMPTS), "arguments": FAMILIES["FLUX"].arguments, "dtype": "float32"}
        return Pipeline(str(tmp_path / "FLUX"), CUDA, **settings)

    with pretended_cuda():
        model, solver = pipeline(), PipelineScheduler(STEPS)
        pipe = model.loaded.pipe
        solver = model.at(solver)
        encode, encoders = pipe.encode_prompt, (pipe.text_encoder, pipe.text_encoder_2)
        assert not any(map(is_on_device, encoders)) and is_on_device(pipe.vae)
        away = list[bool]()
        pipe.transformer.register_forward_pre_hook(
            lambda *_: away.append(not any(map(is_on_device, encoders)))
        )
        with trips(encode.offloaded, monkeypatch) as brought:
            model.embed(batches)
            samples = [latents(model, solver, batch, silent) for batch in batches]
            again = [latents(model, solver, batch, silent) for batch in batches]
        assert len(brought) == 2, "another size of a batch is another call"
        assert all(away) and away and is_on_device(pipe.transformer)
        staying = pipeline()
        with staying.loaded.pipe.encode_prompt.offloaded:
            expected = [
                latents(staying, staying.at(PipelineScheduler(STEPS)), batch, silent) for batch in batches
            ]
        for one, same, other in zip(samples, again, expected, strict=True):
            assert torch.equal(one, same) and torch.equal(one, other)
