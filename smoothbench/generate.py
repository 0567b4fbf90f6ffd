"""Generate the samples of a point, and hold its executed forwards against its schedule."""

import logging
import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from smoothbench.caching import Run, Schedule, cached
from smoothbench.errors import one_line
from smoothbench.memory import Room, half, out_of_memory
from smoothbench.points import Point
from smoothbench.samples import Samples
from smoothbench.sampling import latents, silent
from smoothbench.types import Model

log = logging.getLogger(__name__)

Tick = Callable[[], object]  # told after each evaluation has been announced


def generate(point: Point, model: Model, samples: Samples, tick: Tick, room: Room) -> int:
    """Generate what is missing, batch by batch, and return how often a batch was halved for memory.

    `room` is what the run knows of it: what did not fit once, by this point or an earlier one, is not tried again.
    Raises RuntimeError where the executed forwards cost something else than the schedule says, and
    MemoryError where a batch does not fit and may not be halved.
    """
    halved = 0
    for batch in samples.missing():
        parts = _fitting(point, model, batch, tick, room)
        halved += len(parts) - 1
        run = parts[0][1]
        calls = None if isinstance(point.policy, Schedule) else evaluations(model, run)
        samples.write(
            batch, torch.cat([images for images, _ in parts]), realised_macs(point, model, run), calls
        )
    return halved


def _fitting(
    point: Point, model: Model, batch: Sequence[int], tick: Tick, room: Room
) -> list[tuple[Tensor, Run]]:
    """A batch in as many parts as memory asks for: a sample depends on its seed, not on its batch.

    A dynamic policy decides on the whole batch, half of which would be another point: it is never split.
    """
    static = isinstance(point.policy, Schedule)
    if room.fits(len(batch)) or not static:
        try:
            return [_whole(point, model, batch, tick)]
        except Exception as error:
            if not out_of_memory(error):
                raise
            reason = one_line(error)[:160]
        if not static:
            raise MemoryError(f"a batch of {len(batch)} does not fit: choose a smaller batch_size")
        if len(batch) == 1:
            raise MemoryError(f"not even a batch of 1 fits into memory ({reason})")
        if model.device.type == "cuda":
            torch.cuda.empty_cache()
        room.refuse(len(batch))
        log.warning("out of memory: batches are halved from here on, to %d (%s)", room.most, reason)
    middle = half(len(batch))
    halves = (batch[:middle], batch[middle:])
    return [each for part in halves for each in _fitting(point, model, part, tick, room)]


def _whole(point: Point, model: Model, batch: Sequence[int], tick: Tick) -> tuple[Tensor, Run]:
    # the last seed again where a model wants no batch as small as this
    seeds = [*batch, *[batch[-1]] * (model.min_batch_size - len(batch))]
    x, run = cached_batch(point, model, seeds, tick)
    realised_macs(point, model, run)
    return decoded(model, x[: len(batch)], batch), run


def decoded(model: Model, x: Tensor, seeds: Sequence[int]) -> Tensor:
    """Finished samples of latents; FloatingPointError, naming the seeds, where some are not finite."""
    try:
        return model.decode(x)
    except FloatingPointError as error:
        bad = [seed for seed, each in zip(seeds, x.split(1), strict=True) if not _decodes(model, each)]
        raise FloatingPointError(f"{error}: {len(bad)} of {len(seeds)} samples (seeds {bad[:8]})") from None


def _decodes(model: Model, x: Tensor) -> bool:
    try:
        model.decode(x)
    except FloatingPointError:
        return False
    return True


def cached_batch(point: Point, model: Model, seeds: Sequence[int], tick: Tick) -> tuple[Tensor, Run]:
    """One batch of latents under the point's policy, and what the engine saw."""
    assert point.policy is not None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="the cache policy skipped nothing")  # the record says it
        with cached(
            model.denoiser, point.policy, predictor=point.predictor, evals=point.trajectory.evals
        ) as run:

            def announce(e: int, t: float, branch: int) -> None:
                run.step(e, t, branch)
                if branch == 0:
                    tick()

            x = latents(model, point.solver, seeds, announce)
    return x, run


def bare_batch(point: Point, model: Model, seeds: Sequence[int]) -> Tensor:
    """One batch of latents on the untouched model: what an uncached point costs without us."""
    return latents(model, point.solver, seeds, silent)


def evaluations(model: Model, run: Run) -> dict[str, float]:
    """In how many evaluations each site was computed; half of one where guidance takes two forwards."""
    forwards = model.forwards
    return {site: n if forwards == 1 else n / forwards for site, n in run.calls.items()}


def realised_macs(point: Point, model: Model, run: Run) -> int:
    """Cost per sample from executed forwards, asserted equal to a static point's plan."""
    macs = round(point.trajectory.macs(evaluations(model, run)))
    if isinstance(point.policy, Schedule) and macs != point.planned_macs:
        raise RuntimeError(
            f"executed forwards cost {macs} MACs a sample, but the schedule {point.planned_macs}"
        )
    return macs
