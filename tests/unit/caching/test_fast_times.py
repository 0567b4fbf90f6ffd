"""What depends on timesteps alone is computed once a run, and what comes unplanned is computed when it comes."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from smoothbench.caching import Schedule, cached, find_sites
from smoothbench.caching.fast.timesteps import ENOUGH, TimeEmbeddings
from tests.support.fast_models import EVALS, FastModel, fast_model
from tests.support.products import Products

ROUNDING = 2e-5  # relative to the largest value
EMBED_TIME = {  # the layers that the time alone goes through
    "pixart": "adaln_single.",
    "sana": "time_embed.",
    "stable_audio": "timestep_proj.",
    "stdit3": "t_embedder.",
}


@pytest.fixture(params=list(EMBED_TIME))
def model(request: pytest.FixtureRequest) -> FastModel:
    built = fast_model(request.param)
    if "fps" not in built.constant:
        return built
    return replace(built, constant={**built.constant, "fps": torch.full((len(built.noise),), 12.0)})


def time_layers(denoiser: nn.Module) -> list[nn.Linear]:
    starts = tuple(EMBED_TIME.values())
    named = denoiser.named_modules()
    return [module for name, module in named if isinstance(module, nn.Linear) and name.startswith(starts)]


def half(denoiser: nn.Module) -> Schedule:
    return Schedule.steps(find_sites(denoiser), [e % 2 == 0 for e in range(EVALS)])


def test_time_is_embedded_once_a_run(model: FastModel) -> None:
    with (
        cached(model.denoiser, half(model.denoiser), coordinates=model.timesteps) as run,
        Products() as products,
    ):
        fast = [model.run(run.step) for _ in range(2)][-1]
        assert run.is_fast
    assert {products.counts[id(layer.weight)] for layer in time_layers(model.denoiser)} == {2}
    with cached(model.denoiser, half(model.denoiser), coordinates=model.timesteps, fast=False) as run:
        slow = model.run(run.step)
    assert (fast - slow).abs().max() <= ROUNDING * slow.abs().max()


def test_frame_rates_of_rows_and_of_later_forwards() -> None:
    model = fast_model("stdit3")
    denoiser, given = model.denoiser, torch.full((len(model.noise),), 12.0)

    def sample(rates: Iterator[Tensor], **more: Any) -> Tensor:
        x = model.noise
        with cached(denoiser, half(denoiser), coordinates=model.timesteps, **more) as run, torch.no_grad():
            for e, t in enumerate(model.timesteps):
                run.step(e, t)
                inputs = {**model.constant, "fps": next(rates), "timestep": torch.full((len(x),), t)}
                x = x - 0.2 * denoiser(**{model.main: x}, **inputs)[:, : x.shape[1]]
            assert run.is_fast != ("fast" in more)
        return x

    for rates in (
        [given * torch.arange(1.0, len(given) + 1)] * EVALS,
        [given] * 3 + [given * 2] * (EVALS - 3),
    ):
        fast, slow = sample(iter(rates)), sample(iter(rates), fast=False)
        assert (fast - slow).abs().max() <= ROUNDING * slow.abs().max()
        assert not torch.equal(fast, sample(iter([given] * EVALS)))


def test_embeddings_of_planned_and_other_timesteps() -> None:
    asked = list[int]()

    def compute(timesteps: Tensor) -> tuple[Tensor]:
        asked.append(len(timesteps))
        return (timesteps[:, None] * torch.tensor([1.0, 2.0]),)

    like = torch.tensor([3.1, 3.1])
    times = TimeEmbeddings(compute, [7.3, 3.1, 3.1], like)
    assert asked == [ENOUGH]  # of fewer the products would be rounded otherwise
    assert torch.equal(times(like)[0], torch.tensor([[3.1, 6.2]])) and asked == [ENOUGH]
    assert torch.equal(times(torch.tensor([4.0, 4.0]))[0], torch.tensor([[4.0, 8.0]]))
    assert torch.equal(times(torch.tensor([7.3, 3.1]))[0], torch.tensor([[7.3, 14.6], [3.1, 6.2]]))
    assert asked == [ENOUGH, 1, 2]
