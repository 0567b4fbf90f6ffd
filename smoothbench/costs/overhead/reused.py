"""The cost of an evaluation in which everything is reused, beside its floor: seconds, in paired rounds."""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from smoothbench.caching import Schedule, cached
from smoothbench.caching.sites import BRANCH
from smoothbench.costs.interleave import Clock, in_rounds, ratio_interval
from smoothbench.costs.overhead.cases import Case
from smoothbench.costs.overhead.floors import Ends, ends_of
from smoothbench.costs.overhead.realised import Interval, Rounds
from smoothbench.protocols import Model, Solver
from smoothbench.sampling.devices import wait_for
from smoothbench.sampling.loop import SeededNoise, sampling_states, silent, solver_states

FIRST = 2  # evaluation 0 computes everything, 1 may prepare what the others share


@dataclass(frozen=True)
class Reused:
    """What a fully reused evaluation takes: milliseconds, and its ratio to two floors.

    `over_floor` is over the bare arithmetic, `over_loop` over a denoiser of that arithmetic in the same sampling loop,
    whose bookkeeping (labels, timesteps, prompts) both then pay.
    """

    level: str
    milliseconds: float
    floor_milliseconds: float
    over_floor: Interval
    over_loop: Interval


def reused(case: Case, batch: int, rounds: Rounds) -> list[Reused]:
    """Measure a fully reused evaluation and its floors, by level; empty where no floor is written for the denoiser."""
    model: Any = case.model
    ends = ends_of(model.denoiser, model.guidance_rows // model.forwards * batch)
    if ends is None:
        return []
    solver, seeds, runs = case.solver, range(batch), dict[str, Callable[[], float]]()
    for level in case.levels:
        cache = _cache_like(model, ends, batch, level)
        runs |= {
            level: _under(model, solver, seeds, one_full(case, level), rounds.clock),
            f"{level} floor": _floor(model, solver, seeds, ends, cache, rounds.clock),
            f"{level} loop": _loop(model, solver, seeds, ends, cache, rounds.clock),
        }
    seconds = in_rounds(runs, rounds.count, 1)
    middle = {name: sorted(values)[len(values) // 2] * 1e3 for name, values in seconds.items()}
    return [
        Reused(
            level,
            middle[level],
            middle[f"{level} floor"],
            *(ratio_interval(seconds[level], seconds[f"{level} {floor}"]) for floor in ("floor", "loop")),
        )
        for level in case.levels
    ]


def one_full(case: Case, level: str, full: int = 1) -> Schedule:
    """Return the schedule that computes the first evaluations, one by default, and reuses everything from then on."""
    trajectory = case.uncached(level).trajectory
    return Schedule.steps(trajectory.sites, [e < full for e in range(trajectory.evals)])


def _under(
    model: Model, solver: Solver, seeds: Sequence[int], schedule: Schedule, clock: Clock
) -> Callable[[], float]:
    watch = _Stopwatch(model, clock)

    def run() -> float:
        with cached(model.denoiser, schedule, coordinates=solver.coordinates) as context:
            return watch.mean(sampling_states(model, solver, seeds, context.step))

    return run


def _loop(
    model: Any, solver: Solver, seeds: Sequence[int], ends: Ends, cache: Tensor, clock: Clock
) -> Callable[[], float]:
    """The sampling loop around a denoiser that embeds, reads what is kept, and has a head."""
    watch, looped = _Stopwatch(model, clock), copy.copy(model)
    denoiser: nn.Module = copy.copy(model.denoiser)

    def forward(x: Tensor, *_: Any, return_dict: bool | None = None, **__: Any) -> Any:
        output = _evaluated(ends, cache, x)
        return output if return_dict is None else (output,)

    denoiser.forward = forward
    looped.__dict__["denoiser"] = denoiser
    return lambda: watch.mean(sampling_states(looped, solver, seeds, silent))


def _floor(
    model: Any, solver: Solver, seeds: Sequence[int], ends: Ends, cache: Tensor, clock: Clock
) -> Callable[[], float]:
    watch, rows = _Stopwatch(model, clock), model.guidance_rows // model.forwards

    def predict(e: int, x: Tensor, coordinate: float) -> Tensor:
        output = _evaluated(ends, cache, torch.cat([x] * rows).to(model.dtype))[:, : x.shape[1]].float()
        return output if rows == 1 else model.guide(*output.chunk(2))

    @torch.inference_mode()
    def run() -> float:
        noise = SeededNoise(seeds, model.sample_shape, model.device)
        return watch.mean(solver_states(solver, noise(), predict, noise))

    return run


def _evaluated(ends: Ends, cache: Tensor, rows: Tensor) -> Tensor:
    tokens = ends.embed(rows)
    cache.sum()
    return ends.head(tokens)


@torch.inference_mode()
def _cache_like(model: Any, ends: Ends, batch: int, level: str) -> Tensor:
    """A tensor as large as what is kept for a batch: at branch level every output with a gate, else one stream."""
    rows = model.guidance_rows // model.forwards * batch
    x = torch.zeros(rows, *model.sample_shape, device=model.device, dtype=model.dtype)
    count = max(ends.gated, 1) if level == BRANCH else 1
    return torch.randn(count, *ends.embed(x).shape, device=x.device).to(x.dtype)


class _Stopwatch:
    """Measures the mean seconds of the evaluations of a sampling run, all but the first two."""

    def __init__(self, model: Model, clock: Clock) -> None:
        self._clock = clock
        self._wait = wait_for(model.device) or (lambda: None)

    def mean(self, states: Iterator[tuple[int, Any]]) -> float:
        started, last = 0.0, 0
        for e, _ in states:
            if e == FIRST:
                self._wait()
                started = self._clock()
            last = e
        self._wait()
        return (self._clock() - started) / (last - FIRST)
