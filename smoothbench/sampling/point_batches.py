"""Generate the samples of a point, and hold its executed forwards against its schedule."""

import logging
import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from smoothbench.caching import Run, Schedule, cached
from smoothbench.planning.point import Point
from smoothbench.protocols import EmbedsPrompts, Model, Solver
from smoothbench.sampling.loop import Announce, decodable, latents, silent
from smoothbench.sampling.out_of_memory import LargestBatch, first_that_fits, half
from smoothbench.sampling.write_behind import WriteBehind
from smoothbench.self_sampling import samples_at_once
from smoothbench.storage.sample_files import Samples

log = logging.getLogger(__name__)

Tick = Callable[[], object]  # told after each evaluation has been announced
Draw = Callable[[Model, Solver, Sequence[int], Announce], Tensor]


def generate(point: Point, model: Model, samples: Samples, tick: Tick, largest: LargestBatch) -> int:
    """Generate the missing samples of a point, batch by batch; the number of times that a batch was cut in two.

    A batch that memory does not suffice for is sampled in parts, which changes no sample: each depends on its seed
    alone. `largest` remembers the size for the following batches and points. Raises RuntimeError where the executed
    forwards cost something else than the schedule says, and MemoryError where not even one sample fits, or where a
    dynamic policy's batch does not, which is never cut: its decisions are about the whole batch.
    """
    cuts, missing = 0, samples.missing()
    if missing and isinstance(model, EmbedsPrompts):
        model.embed(missing)
    with WriteBehind(samples) as writer:
        for batch in missing:
            parts = sample_in_parts(point, model, batch, tick, largest)
            cuts += len(parts) - 1
            run = parts[0][1]
            calls = None if isinstance(point.policy, Schedule) else evaluations(model, run)
            writer.write(batch, torch.cat([images for images, _ in parts]), calls)
    samples.close()
    return cuts


def sample_in_parts(
    point: Point, model: Model, batch: Sequence[int], tick: Tick, largest: LargestBatch
) -> list[tuple[Tensor, Run]]:
    """Return the samples of a batch and the engine's run, in as few parts as memory allows; see `generate`."""

    def run(size: int) -> list[tuple[Tensor, Run]]:
        parts = [batch[start : start + size] for start in range(0, len(batch), size)]
        return [_sample(point, model, part, tick) for part in parts]

    def refused(size: int, reason: str) -> None:
        largest.size = half(size)
        log.warning("out of memory: batches are halved from here on, to %d (%s)", largest.size, reason)

    nothing_fits = "not even a batch of 1 fits into memory"
    if not isinstance(point.policy, Schedule):
        if samples_at_once(model, len(batch)) > 1:
            nothing_fits = f"a batch of {len(batch)} does not fit: choose a smaller batch_size"
        return first_that_fits(len(batch), run, lambda size: None, refused, nothing_fits)
    return first_that_fits(
        largest.of(len(batch)),
        run,
        smaller=lambda size: half(size) if half(size) < samples_at_once(model, size) else None,
        refused=refused,
        nothing_fits=nothing_fits,
    )


def _sample(point: Point, model: Model, batch: Sequence[int], tick: Tick) -> tuple[Tensor, Run]:
    """Finished samples of a batch, and the engine's run, whose executed forwards are held against the schedule."""
    # the last seed again where a model wants no batch as small as this
    seeds = [*batch, *[batch[-1]] * (model.min_batch_size - len(batch))]
    x, run = cached_batch(point, model, seeds, tick, decodable)
    check_realised_macs(point, model, run)
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


def cached_batch(
    point: Point, model: Model, seeds: Sequence[int], tick: Tick, draw: Draw = latents
) -> tuple[Tensor, Run]:
    """One batch of latents, or of what else is drawn, under the point's policy, and what the engine saw."""
    assert point.policy is not None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="the cache policy skipped nothing")  # the record says it
        with cached(
            model.denoiser,
            point.policy,
            predictor=point.predictor,
            evals=point.trajectory.evals,
            coordinates=point.trajectory.coordinates,
        ) as run:

            def announce(e: int, t: float, forward_index: int) -> None:
                if e in point.trajectory.restarts and forward_index == 0:
                    run.forget()
                run.step(e, t, forward_index)
                if forward_index == 0:
                    tick()

            x = draw(model, point.solver, seeds, announce)
    return x, run


def bare_batch(point: Point, model: Model, seeds: Sequence[int]) -> Tensor:
    """One batch of latents by the denoiser's own forward, untouched: what an uncached point costs without us."""
    return latents(model, point.solver, seeds, silent)


def evaluations(model: Model, run: Run) -> dict[str, float]:
    """In how many evaluations each site was computed, or given up at a probe; half of one where guidance takes two.

    Of samples that each ran by themselves it is the mean.
    """
    calls, of_one = {**run.calls, **run.probe_calls}, model.forwards * (run.clock.evals or 1)
    forwards = model.forwards * max(1, run.forwards // of_one)
    return {site: n if forwards == 1 else n / forwards for site, n in calls.items()}


def check_realised_macs(point: Point, model: Model, run: Run) -> None:
    """RuntimeError where the executed forwards cost other MACs than the schedule of a static point."""
    if not isinstance(point.policy, Schedule):
        return
    macs = point.trajectory.cost(evaluations(model, run)).total
    if macs != point.planned_macs:
        raise RuntimeError(
            f"executed forwards cost {macs} MACs a sample, but the schedule {point.planned_macs}"
        )
