"""Keys and values of a text that does not change are computed once a run, with the same bits."""

import copy

import pytest
import torch
from torch import Tensor, nn

from smoothbench.caching import Schedule, cached, find_sites
from smoothbench.caching.fast import constant_text
from tests.support.fast_models import EVALS, FastModel, fast_model
from tests.support.products import Products

ROUNDING = 2e-5  # relative to the largest value
READ_TEXT = {  # the layers of a cross-attention that read the text
    "pixart": ("attn2.to_k", "attn2.to_v"),
    "sana": ("attn2.to_k", "attn2.to_v"),
    "stable_audio": ("attn2.to_k", "attn2.to_v"),
    "stdit3": ("cross_attn.kv_linear",),
}


@pytest.fixture(params=list(READ_TEXT))
def model(request: pytest.FixtureRequest) -> FastModel:
    return fast_model(request.param)


def layers(model: FastModel) -> list[nn.Linear]:
    names = [name for ends in READ_TEXT.values() for name in ends]
    modules = model.denoiser.named_modules()
    return [m for name, m in modules if name.endswith(tuple(names)) and isinstance(m, nn.Linear)]


def sample(model: FastModel, runs: int = 1) -> tuple[Tensor, set[int]]:
    """The sample of the last run with everything computed, and how often the layers of the text ran."""
    full = Schedule.steps(find_sites(model.denoiser), [True] * EVALS, {"method": "none"})
    with cached(model.denoiser, full, coordinates=model.timesteps) as run, Products() as products:
        samples = [model.run(run.step) for _ in range(runs)]
        assert run.is_fast
    return samples[-1], {products.counts[id(layer.weight)] for layer in layers(model)}


def test_once_a_run_and_the_same_bits(model: FastModel, monkeypatch: pytest.MonkeyPatch) -> None:
    once, counts = sample(model, runs=2)
    assert counts == {2}
    monkeypatch.setattr(constant_text, "KEPT_FOR_ALL", 0)
    always, counts = sample(model)
    assert counts == {EVALS}
    assert torch.equal(once, always)


def test_layers_that_somebody_watches_run_always(model: FastModel) -> None:
    seen = list[nn.Module]()
    hooks = [layer.register_forward_hook(lambda module, *_: seen.append(module)) for layer in layers(model)]
    _, counts = sample(model)
    for hook in hooks:
        hook.remove()
    assert counts == {EVALS}
    assert len(seen) == EVALS * len(hooks)


def test_weights_and_texts_of_the_next_run_count(model: FastModel) -> None:
    full = Schedule.steps(find_sites(model.denoiser), [True] * EVALS, {"method": "none"})
    changed = copy.copy(model)
    changed.denoiser, changed.constant = copy.deepcopy(model.denoiser), copy.deepcopy(model.constant)
    text, weight = next(iter(changed.constant.values())), layers(changed)[0].weight
    inside = list[Tensor]()
    with cached(model.denoiser, full, coordinates=model.timesteps) as run:
        inside.append(model.run(run.step))
    with cached(changed.denoiser, full, coordinates=model.timesteps) as run:
        changed.run(run.step)
        for value in (weight, text):
            with torch.no_grad():
                value.mul_(-2)
            inside.append(changed.run(run.step))
    bare = [model.run(), changed.run()]
    assert [close(inside[0], bare[0]), close(inside[2], bare[1])] == [True, True]
    assert not close(inside[1], inside[0]) and not close(inside[1], inside[2])


def close(fast: Tensor, other: Tensor) -> bool:
    return bool((fast - other).abs().max() <= ROUNDING * other.abs().max())
