"""Generate the samples of a point, and hold its executed forwards against its schedule."""

import warnings
from collections.abc import Callable, Sequence

from torch import Tensor

from smoothbench.caching import Run, Schedule, cached
from smoothbench.points import Point
from smoothbench.samples import Samples
from smoothbench.sampling import latents
from smoothbench.types import Model

Tick = Callable[[], object]  # told after each evaluation has been announced


def generate(point: Point, model: Model, samples: Samples, tick: Tick) -> None:
    """Generate what is missing, batch by batch.

    Raises RuntimeError where the executed forwards cost something else than the schedule says.
    """
    for batch in samples.missing():
        x, run = cached_batch(point, model, batch, tick)
        samples.write(batch, model.decode(x), realised_macs(point, run))


def cached_batch(point: Point, model: Model, seeds: Sequence[int], tick: Tick) -> tuple[Tensor, Run]:
    """One batch of latents under the point's policy, and what the engine saw."""
    assert point.policy is not None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="the cache policy skipped nothing")  # the record says it
        with cached(
            model.denoiser, point.policy, predictor=point.predictor, evals=point.trajectory.evals
        ) as run:

            def announce(e: int, t: float) -> None:
                run.step(e, coordinate=t)
                tick()

            x = latents(model, point.solver, seeds, announce)
    return x, run


def bare_batch(point: Point, model: Model, seeds: Sequence[int]) -> Tensor:
    """One batch of latents on the untouched model: what an uncached point costs without us."""
    return latents(model, point.solver, seeds, lambda e, t: None)


def realised_macs(point: Point, run: Run) -> int:
    """Cost per sample from executed forwards, asserted equal to a static point's plan."""
    macs = point.trajectory.macs(run.calls)
    if isinstance(point.policy, Schedule) and macs != point.planned_macs:
        raise RuntimeError(
            f"executed forwards cost {macs} MACs a sample, but the schedule {point.planned_macs}"
        )
    return macs
