"""Fast forwards give what the engine's other way gives, within rounding, and count the same."""

import random
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from smoothbench.caching import Evaluation, InputWeights, Run, Schedule, cached, find_sites
from smoothbench.caching.weighted_sum import WeightedSum
from tests.support.fast_models import EVALS, MODELS, FastModel, fast_model
from tests.support.tiny_pipelines import call_arguments, tiny_stable_audio_pipeline

ROUNDING = 2e-5  # relative to the largest value


@pytest.fixture(params=list(MODELS))
def model(request: pytest.FixtureRequest) -> FastModel:
    return fast_model(request.param)


def close(fast: Tensor, other: Tensor) -> bool:
    return bool((fast - other).abs().max() <= ROUNDING * other.abs().max())


def both_ways(
    model: FastModel, policy: object, predictor: object = "reuse", forwards: int = 1
) -> tuple[tuple[Tensor, Run], tuple[Tensor, Run]]:
    """The sample and the run of the fast forward, and those of the denoiser's own."""
    results = []
    for fast in (True, False):
        arguments = {"predictor": predictor, "coordinates": model.timesteps, "fast": fast}
        with cached(model.denoiser, policy, **arguments) as run:
            results.append((model.run(run.step, forwards), run))
            assert run.is_fast is fast
    return results[0], results[1]


def schedules(model: FastModel) -> dict[str, Schedule]:
    sites, chance = find_sites(model.denoiser), random.Random(2)
    kinds = sorted({site.kind for site in sites})
    of_kinds = [[int(e % (2 + kinds.index(s.kind) % 3) == 0) for s in sites] for e in range(EVALS)]
    mixed = [[int(e == 0 or chance.random() < 0.5) for _ in sites] for e in range(EVALS)]
    return {
        "steps": Schedule.steps(sites, [e % 3 == 0 for e in range(EVALS)]),
        "kinds": Schedule.of(sites, of_kinds),
        "mixed": Schedule.of(sites, mixed),
    }


def test_everything_computed_is_the_bare_forward(model: FastModel) -> None:
    bare = model.run()
    full = Schedule.steps(find_sites(model.denoiser), [True] * EVALS, {"method": "none"})
    with cached(model.denoiser, full, coordinates=model.timesteps) as run:
        inside = model.run(run.step)
        assert run.is_fast
    assert close(inside, bare)
    assert run.cache_bytes == 0  # what is never reused is not kept
    assert torch.equal(model.run(), bare)


@pytest.mark.parametrize("predictor", ["reuse", "taylor1", "taylor4"])
@pytest.mark.parametrize("shape", ["steps", "kinds", "mixed"])
def test_static_schedules(model: FastModel, shape: str, predictor: str) -> None:
    (fast, run), (other, slow) = both_ways(model, schedules(model)[shape], predictor)
    assert close(fast, other)
    assert (run.counts, run.realised, run.forwards) == (slow.counts, slow.realised, slow.forwards)
    assert 0 < run.cache_bytes <= slow.cache_bytes


class Halves:
    """Computes every third evaluation, and in between a half of the sites that changes."""

    def decide(self, evaluation: Evaluation) -> Sequence[bool]:
        return [evaluation.e % 3 == 0 or (i + evaluation.e) % 2 == 0 for i in range(len(evaluation.sites))]


@pytest.mark.parametrize("predictor", ["reuse", "taylor2"])
def test_policies_that_decide_at_run_time(model: FastModel, predictor: str) -> None:
    (fast, run), (other, slow) = both_ways(model, Halves(), predictor)
    assert close(fast, other)
    assert (run.counts, run.realised, run.cache_bytes) == (slow.counts, slow.realised, slow.cache_bytes)


def test_guidance_in_two_forwards_keeps_two_histories(model: FastModel) -> None:
    (fast, run), (other, slow) = both_ways(model, schedules(model)["mixed"], "taylor1", forwards=2)
    assert close(fast, other)
    assert (run.counts, run.realised) == (slow.counts, slow.realised)


def test_runs_follow_each_other_also_after_one_that_ran_out_of_memory(model: FastModel) -> None:
    schedule, breaks = schedules(model)["steps"], [False]

    def out_of_memory(*_: object) -> None:
        if breaks[0]:
            raise MemoryError("in the middle")

    branch = model.denoiser.get_submodule(find_sites(model.denoiser)[3].path)
    inner = next(
        module for module in branch.modules() if isinstance(module, torch.nn.Linear | torch.nn.Conv2d)
    )
    hook = inner.register_forward_pre_hook(out_of_memory)  # inside of a branch others may do as they like
    with cached(model.denoiser, schedule, coordinates=model.timesteps) as run:
        first = model.run(run.step)
        with pytest.raises(MemoryError, match="in the middle"):
            model.run(lambda e, t, i: (run.step(e, t, i), breaks.__setitem__(0, e == 3)))
        breaks[0] = False
        assert torch.equal(model.run(run.step), first)
        assert run.is_fast
    hook.remove()


def test_what_a_branch_got_is_never_changed(model: FastModel) -> None:
    def kept(fast: bool) -> list[tuple[Tensor, Tensor]]:
        got: list[tuple[Tensor, Tensor]] = []
        paths = [site.path for site in find_sites(model.denoiser)]
        layers = [m for path in paths for m in model.denoiser.get_submodule(path).modules()]
        note = [
            layer.register_forward_pre_hook(lambda module, args: got.append((args[0], args[0].clone())))
            for layer in layers
            if isinstance(layer, torch.nn.Linear)
        ]
        policy = schedules(model)["kinds"]
        with cached(model.denoiser, policy, coordinates=model.timesteps, fast=fast) as run:
            model.run(run.step)
            assert run.is_fast is fast
        for hook in note:
            hook.remove()
        return got

    fast, other = kept(True), kept(False)
    assert len(fast) == len(other) > 0
    assert all(torch.equal(tensor, before) for tensor, before in fast)


def test_a_span_is_what_its_blocks_add(model: FastModel) -> None:
    try:
        sites = find_sites(model.denoiser, ("span", "branch"))
    except ValueError:
        pytest.skip("this denoiser's blocks are not found yet")
    spans = [e % 2 == 0 for e in range(EVALS)]
    bits = [[int(spans[e] if s.level == "span" else e % 4 == 0) for s in sites] for e in range(EVALS)]
    (fast, run), (other, slow) = both_ways(model, Schedule.of(sites, bits))
    assert close(fast, other)
    assert (run.counts, run.realised) == (slow.counts, slow.realised)


def test_calibrated_weights_of_each_site(model: FastModel) -> None:
    sites, chance = find_sites(model.denoiser), random.Random(4)
    weights = [[[0.8 + 0.3 * chance.random(), 0.2 * chance.random()] for _ in range(EVALS)] for _ in sites]
    table = {site.name: rows for site, rows in zip(sites, weights, strict=True)}
    (fast, run), (other, slow) = both_ways(model, schedules(model)["steps"], WeightedSum(table))
    assert close(fast, other)
    assert run.counts == slow.counts


@pytest.mark.parametrize("forwards", [1, 2])
def test_a_denoiser_that_is_predicted_from_its_input_computes_fast(model: FastModel, forwards: int) -> None:
    chance = random.Random(5)

    def weights(count: int) -> list[list[float]]:
        return [[0.4 * chance.random() for _ in range(count)] if e % 3 else [] for e in range(EVALS)]

    predictor = InputWeights({"denoiser": weights(2)}, inputs={"denoiser": weights(1)})
    schedule = Schedule.steps(find_sites(model.denoiser, "denoiser"), [e % 3 == 0 for e in range(EVALS)])
    (fast, run), (other, slow) = both_ways(model, schedule, predictor, forwards)
    assert close(fast, other)
    assert (run.counts, run.realised, run.cache_bytes) == (slow.counts, slow.realised, slow.cache_bytes)


def test_the_pipeline_of_stable_audio_runs_by_it() -> None:
    """It gives one timestep for all rows."""
    pipe, latents = tiny_stable_audio_pipeline(), []
    pipe.scheduler.set_timesteps(EVALS)
    grid = pipe.scheduler.timesteps.tolist()
    schedule = Schedule.steps(find_sites(pipe.transformer), [e % 2 == 0 for e in range(EVALS)])
    for fast in (True, False):
        generators = [torch.Generator().manual_seed(seed) for seed in range(2)]
        arguments = {**call_arguments(pipe, 2), "num_inference_steps": EVALS, "output_type": "latent"}
        with cached(pipe.transformer, schedule, coordinates=grid, fast=fast) as run:
            latents.append(pipe(**arguments, generator=generators).audios)
            assert run.is_fast is fast and set(run.calls.values()) == {(EVALS + 1) // 2}
    assert close(*latents)
