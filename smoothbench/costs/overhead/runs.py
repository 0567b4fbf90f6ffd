"""Whole sampling runs that are timed: the bare model, everything computed, and the points of a case."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from smoothbench.caching import Schedule, cached
from smoothbench.costs.overhead.alive import new_bytes, only_new_objects
from smoothbench.costs.overhead.cases import Case, schedule_of
from smoothbench.planning.point import Point
from smoothbench.protocols import Model
from smoothbench.sampling.loop import latents, silent

Run = Callable[[Callable[[], object]], object]
BARE, UNCACHED, KEPT = "bare forward", "uncached", "all computed and kept"


def _nothing() -> None: ...


@dataclass(frozen=True)
class Timed:
    """A sampling run that is timed, entering and leaving the engine included.

    `share` is its share of the MACs of computing everything, `label` what the table calls it. `run` calls its argument
    at the end, while what is kept is still there; `forget` drops what is left then.
    """

    label: str
    level: str
    predictor: str
    share: float
    run: Run
    forget: Callable[[], object] = _nothing


def runs(case: Case, batch: int) -> dict[str, Timed]:
    """Return the bare model's run, those that compute everything, and a run for each point, by a unique name."""
    seeds = range(batch)
    timed = {
        BARE: Timed(BARE, "", "", 1.0, lambda last: (latents(case.model, case.solver, seeds, silent), last()))
    }
    for level in case.levels:
        uncached = case.uncached(level)
        if UNCACHED not in timed:
            timed[UNCACHED] = Timed(
                UNCACHED, "", "", 1.0, _cached(case, uncached, schedule_of(uncached), seeds)
            )
        nearly = replace(uncached, policy=almost_full(schedule_of(uncached)))
        timed[f"{level}, {KEPT}"] = _point(case, level, KEPT, nearly, seeds)
        for point in case.points(level):
            timed[f"{level}, {point.spec.name}"] = _point(case, level, point.spec.label, point, seeds)
    return timed


def almost_full(full: Schedule) -> Schedule:
    """Return a schedule that reuses one site at the last evaluation: everything must be kept, nearly all computed."""
    *others, last = full.computed
    computed = (*others, (False, *last[1:]))
    return Schedule(full.sites, full.kinds, computed, {**full.meta, "method": "almost full"})


def growth(timed: Timed, model: Model) -> int:
    """Return the bytes of tensors that are alive at the end of a run and were not before it."""
    timed.run(_nothing)  # what a first run alone makes is there from now on
    timed.forget()
    sizes: list[int] = []
    with only_new_objects():
        timed.run(lambda: sizes.append(new_bytes(model.denoiser)))
    return sizes[0]


def predictor_name(point: Point) -> str:
    """Return the short name of a point's predictor (reuse, taylor1), or the class that its node names."""
    predictor = point.spec.predictor
    return predictor if isinstance(predictor, str) else predictor["_target_"].rpartition(".")[2]


def _point(case: Case, level: str, label: str, point: Point, seeds: Sequence[int]) -> Timed:
    schedule = schedule_of(point)
    share = point.trajectory.share(schedule)
    return Timed(label, level, predictor_name(point), share, _cached(case, point, schedule, seeds))


def _cached(case: Case, point: Point, schedule: Schedule, seeds: Sequence[int]) -> Run:
    def run(last: Callable[[], object]) -> object:
        with cached(
            case.model.denoiser, schedule, predictor=point.predictor, coordinates=case.solver.coordinates
        ) as context:
            return latents(case.model, case.solver, seeds, context.step), last()

    return run
