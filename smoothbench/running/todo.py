"""What of an experiment is still to be done, by what lies in its results folder."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

from smoothbench.planning.point import Point
from smoothbench.running.new_record import as_reported, is_of
from smoothbench.running.workbench import Workbench
from smoothbench.self_sampling import samples_at_once
from smoothbench.storage.record import Record

SOON = 2  # points that are drawn before their turn
Missing = tuple[Point, int]  # a point for each set of samples, and its evaluations that are not done yet


@dataclass(frozen=True)
class Progress:
    """How far a point was when its files were read: whether it was done, and the evaluations that it still needed."""

    point: Point
    done: bool
    missing_evaluations: int


def progress(
    bench: Workbench, before: Sequence[Progress] = (), recorded: Container[str] = ()
) -> list[Progress]:
    """Read how far every point is, in the order of the points.

    All files of samples that this process has not hashed yet are hashed for that. Points that `before` has as they are
    planned now are not read again. Of a shard, whose points get no records, those are done that are drawn, or that are
    `recorded` in the experiment's own folder, by their ids.
    """
    known = {_planned_as(each.point): each for each in before if not each.point.uncalibrated}
    states = []
    for point in bench.points:
        if (state := known.get(_planned_as(point))) is not None:
            states.append(Progress(point, state.done, state.missing_evaluations))
            continue
        drawn = bench.shard is not None and (point.point_id in recorded or is_drawn(bench, point))
        done = drawn or (bench.shard is None and is_done(bench, point))
        states.append(Progress(point, done, 0 if done else missing_evaluations(bench, point)))
    return states


def sets_to_do(states: Sequence[Progress]) -> list[Missing]:
    """Return a point for each set of samples of the points that are not done, with the evaluations that it needs."""
    todo = [state for state in states if not state.done]
    return list({state.point.sample_id: (state.point, state.missing_evaluations) for state in todo}.values())


def in_order(states: Sequence[Progress]) -> list[Point]:
    """Return the points that are not done in the order of work: the reference, the two of fewest evaluations, the rest.

    So that a first table stands soon.
    """
    todo = [state for state in states if not state.done]
    soonest = sorted(todo[1:], key=lambda state: state.missing_evaluations)[:SOON]
    return [
        state.point for state in [*todo[:1], *soonest, *(each for each in todo[1:] if each not in soonest)]
    ]


def _planned_as(point: Point) -> tuple[str, str, str, str | None]:
    """All of a plan that decides which files a point needs."""
    return point.spec.name, point.point_id, point.sample_id, point.same_as


def stored_record(bench: Workbench, point: Point) -> Record | None:
    """A point's record, unless it says that it is another point's."""
    record = bench.store.record(point.spec.name, point.point_id)
    return record if record and is_of(record, point, bench.reference) else None


def is_done(bench: Workbench, point: Point) -> bool:
    """Whether a point's record has all that the settings ask for, against this very reference."""
    record = stored_record(bench, point)
    if record is None or bench.settings.force:
        return False
    if point.unsupported is not None:
        return record.reason == point.unsupported
    if record.status.cost != "done":
        return False
    if not as_reported(record, point, bench.settings, bench.model):  # a paper's side may be configured anew
        return False
    if not bench.settings.draws_samples:
        return True
    arrays = bench.store.scores(point.spec.name, point.point_id)
    with_influence = {name for name, score in record.scores.items() if score.se is not None}
    complete = arrays is not None and arrays.keys() >= with_influence
    scored = record.status.quality == "done" and bench.scorer.current(record)
    return complete and scored and record.same_as == point.same_as and has_features(bench, point)


def is_drawn(bench: Workbench, point: Point) -> bool:
    """Whether nothing that the model or the metrics' encoders make of a point is missing."""
    return not point.runs or (bench.samples(point).counted() and has_features(bench, point))


def has_features(bench: Workbench, point: Point, read: bool = False) -> bool:
    """Whether previews and every metric's features are on disk, and no sample is damaged (`read`: nor a feature)."""
    samples = bench.samples(point)
    previews = all(path.exists() for path in samples.previews(bench.store.folder / "previews"))
    return previews and not samples.damaged() and not bench.scorer.metrics_to_do(bench.part(point), read)


def missing_evaluations(bench: Workbench, point: Point) -> int:
    """Model evaluations of whole batches, or of single samples, that a point's missing samples need."""
    if not (bench.settings.draws_samples and point.runs):
        return 0
    samples = bench.samples(point)
    if bench.regenerates(point) or point.uncalibrated:
        return _runs(bench, samples.batches()) * point.trajectory.evals
    if samples.counted() and has_features(bench, point):
        return 0
    return _runs(bench, samples.missing()) * point.trajectory.evals


def _runs(bench: Workbench, batches: Iterable[Sequence[int]]) -> int:
    """How often the model's loop runs for batches of these seeds."""
    return sum(len(batch) // samples_at_once(bench.model, len(batch)) for batch in batches)
