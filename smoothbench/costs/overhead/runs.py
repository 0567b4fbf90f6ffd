"""Whole sampling runs that are timed: the bare model, everything computed, and the points of a case."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from smoothbench.caching import Schedule, cached
from smoothbench.costs.overhead.alive import new_bytes, only_new_objects
from smoothbench.costs.overhead.cases import Case, Planned
from smoothbench.protocols import Model
from smoothbench.sampling.loop import latents, silent

Run = Callable[[Callable[[], object]], object]
BARE, UNCACHED, KEPT = "bare forward", "uncached", "all computed and kept"


def _nothing() -> None: ...


@dataclass(frozen=True)
class Timed:
    """A sampling run that is timed, entering and leaving the engine included.

    `share` is its share of the MACs of computing everything, `label` what the table calls it. `run` calls its argument
    at the end, while what is kept is still there; `forget` drops what is left then. `corrected` divides its times by
    its share, for a run that stands for one that computes everything.
    """

    label: str
    level: str
    predictor: str
    share: float
    run: Run
    forget: Callable[[], object] = _nothing
    corrected: bool = False


def runs(case: Case, batch: int) -> dict[str, Timed]:
    """Return the bare model's run, those that compute everything, and a run for each cache, by a unique name."""
    seeds = range(batch)
    timed = {
        BARE: Timed(BARE, "", "", 1.0, lambda last: (latents(case.model, case.solver, seeds, silent), last()))
    }
    for level in case.levels:
        uncached = case.uncached(level)
        timed.setdefault(UNCACHED, Timed(UNCACHED, "", "", 1.0, _cached(case, uncached, seeds)))
        nearly = replace(uncached, label=KEPT, schedule=almost_full(uncached.schedule))
        timed[f"{level}, {KEPT}"] = replace(_timed(case, level, nearly, seeds), corrected=True)
        for cache in case.caches(level):
            timed[f"{level}, {cache.cache}"] = _timed(case, level, cache, seeds)
    return timed


def almost_full(full: Schedule) -> Schedule:
    """Return a schedule that reuses everything at the last evaluation alone: until then all is computed and kept."""
    computed = (*full.computed[:-1], (False,) * len(full.sites))
    return Schedule(full.sites, full.kinds, computed, {**full.meta, "method": "almost full"})


def growth(timed: Timed, model: Model) -> int:
    """Return the bytes of tensors that are alive at the end of a run and were not before it."""
    timed.run(_nothing)  # what a first run alone makes is there from now on
    timed.forget()
    sizes: list[int] = []
    with only_new_objects():
        timed.run(lambda: sizes.append(new_bytes(model.denoiser)))
    return sizes[0]


def _timed(case: Case, level: str, cache: Planned, seeds: Sequence[int]) -> Timed:
    return Timed(cache.label, level, cache.predictor_name, cache.share, _cached(case, cache, seeds))


def _cached(case: Case, cache: Planned, seeds: Sequence[int]) -> Run:
    grid = case.solver.coordinates

    def run(last: Callable[[], object]) -> object:
        with cached(
            case.model.denoiser, cache.schedule, predictor=cache.predictor, coordinates=grid
        ) as context:
            return latents(case.model, case.solver, seeds, context.step), last()

    return run
