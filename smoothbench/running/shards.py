"""Shards of an experiment, each drawn by a process of its own; the last one to finish completes the whole."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from smoothbench.config.shard import Shard
from smoothbench.config.spec import Settings
from smoothbench.errors import PointsFailed, UsageError
from smoothbench.planning.point import Point
from smoothbench.running.experiment import Experiment
from smoothbench.running.jobs import launch_name
from smoothbench.running.todo import is_done
from smoothbench.running.workbench import Workbench
from smoothbench.sampling.own_device import own_device
from smoothbench.storage.drawn_point import DrawnPoint, joined
from smoothbench.storage.feature_cache import FeatureCache
from smoothbench.storage.files import link_or_copy
from smoothbench.storage.identity import identity
from smoothbench.storage.locks import locked
from smoothbench.storage.results_folder import Store
from smoothbench.storage.shard_folder import ShardFolder, environment

log = logging.getLogger(__name__)

OTHERS = " (it was drawn for other points, metrics or batch_size: run it again as this one)"


@contextmanager
def last_shard(settings: Settings) -> Iterator[Experiment | None]:
    """Draw the shard that the settings name; yield the whole experiment, to be run, where all shards are drawn now.

    Only one process gets it; the others get None. No other shard is at work within the context, and once the
    experiment has run in it, the folders of the shards are deleted. Raises UsageError where another process is at
    work on the same shard, or where another shard was drawn with other code, packages, kind of device or number of
    threads; PointsFailed where drawing points failed and this process does not complete the experiment.
    """
    shard = settings.shard
    assert shard is not None
    store = Store(Path(settings.results_dir).absolute() / "runs" / settings.experiment)
    store.check()
    place = ShardFolder(store.folder, settings.specs[0].seeds, shard.index, shard.count)
    with ExitStack() as locks:
        if not _claimed(place, locks):
            yield None
            return
        device = locks.enter_context(own_device(settings.device))
        drawing = Experiment(replace(settings, device=device, shard=None))
        failed: list[str] = []
        completes = _draw(drawing, shard, place, failed) and _alone(place, locks)
        if completes and _recorded(drawing.bench) != _ids(drawing.bench):
            completes = _joined(drawing.bench, place)
        if failed and not completes:
            raise PointsFailed(
                f"{place.name}: {len(failed)} of {len(drawing.bench.points)} points failed: {', '.join(failed)}: the "
                "same command draws them again"
            )
        if not completes:
            yield None
            return
        experiment = Experiment(drawing.settings, drawing.bench.model)
        experiment.bench = replace(experiment.bench, drawn=_drawn(experiment.bench, place))
        try:
            yield experiment
        except PointsFailed:  # their records say so; the same command draws them again
            for sibling in place.siblings:
                sibling.reopen()
            raise
        place.remove_all()


def _claimed(place: ShardFolder, locks: ExitStack) -> bool:
    """Take the shard's lock; False where another process completes the experiment, so that nothing is left to draw."""
    if locks.enter_context(locked(place.results, place.lock, wait=False)):
        return True
    with locked(place.results, _completion(place), wait=False) as free:
        if not free:
            log.info("%s: drawn; another process completes the experiment", place.name)
            return False
    raise UsageError(
        f"{place.name}: another process is at work on it in {place.results}: two launches of one experiment at once "
        "do not go together: wait until that one has ended, then the same command draws what is missing"
    )


def _draw(experiment: Experiment, shard: Shard, place: ShardFolder, failed: list[str]) -> bool:
    """Draw what the shard lacks; whether all shards are drawn then, so that the experiment can be completed.

    Args: failed, gets the names of the points that could not be drawn.
    """

    def note(point: Point, drawn: DrawnPoint) -> None:
        place.note(point.point_id, drawn)
        if drawn.failure is not None:
            failed.append(point.spec.name)

    if _recorded(experiment.bench) == _ids(experiment.bench):
        experiment.leave()
        log.info("%s: all points were completed before", place.name)
        return shard.index == 0  # whoever was killed after the records may have left latency and report to do
    try:
        place.begin(environment(experiment.bench.model.device))
        _adopt_samples(experiment.bench, shard, place)
        experiment.draw(lambda bench: part_of(bench, shard, place), _recorded, note)
    finally:
        experiment.leave()  # before it counts as drawn: who completes the experiment measures latency beside nobody
    work, launch = _work(experiment.bench), launch_name()
    place.end(work, launch)
    missing = [each for each in place.siblings if not each.drawn(work, launch)]
    if missing:
        numbers = (f"{each.index}{OTHERS if each.drew_other(work) else ''}" for each in missing)
        log.info("%s: drawn; still to come: %s", place.name, ", ".join(numbers))
    return not missing


def _drawn(bench: Workbench, place: ShardFolder) -> dict[str, DrawnPoint]:
    """What the shards together say of each point, by its id."""
    parts = [sibling.points() for sibling in place.siblings]
    ids = [point.point_id for point in bench.points]
    return {each: joined(part[each] for part in parts if each in part) for each in ids}


def _adopt_samples(bench: Workbench, shard: Shard, place: ShardFolder) -> None:
    """Begin with what the experiment's own folder has of the shard's samples, as those of the reference."""
    part = part_of(bench, shard, place)
    for point, drawn in zip(bench.points, part.points, strict=True):
        if point.runs and not point.uncalibrated:
            part.samples(drawn).adopt(bench.samples(point))


def _alone(place: ShardFolder, locks: ExitStack) -> bool:
    """Wait for the processes of the other shards, and keep new ones out; False where another one does so already."""
    if not locks.enter_context(locked(place.results, _completion(place), wait=False)):
        return False
    for sibling in place.siblings:
        if sibling.index != place.index:
            locks.enter_context(locked(place.results, sibling.lock))
    return True


def _joined(bench: Workbench, place: ShardFolder) -> bool:
    """Carry samples, previews and features of all shards over to the experiment's own; whether all were drawn.

    Raises UsageError where a shard was drawn with other code, packages or kind of device than this one.
    """
    recorded, work = _recorded(bench), _work(bench)
    for sibling in place.siblings:
        sibling.check(environment(bench.model.device))
        if not sibling.drawn(work, launch_name()):
            return False
    parts = [part_of(bench, Shard(each.index, each.count), each) for each in place.siblings]
    for number, point in enumerate(bench.points):
        if point.point_id not in recorded and point.runs:
            points = [part.points[number] for part in parts]
            _carry_samples(bench, point, parts, points)
            _carry_features(bench, point, parts, points)
    return True


def _carry_samples(bench: Workbench, point: Point, parts: list[Workbench], points: list[Point]) -> None:
    samples = bench.samples(point)
    wanted = {path.name: path for path in samples.previews(bench.store.folder / "previews")}
    with bench.store.lock(point.sample_id):
        for part, drawn in zip(parts, points, strict=True):
            samples.adopt(part.samples(drawn))
            for preview in part.samples(drawn).previews(part.store.folder / "previews"):
                if preview.name in wanted and preview.is_file():
                    link_or_copy(preview, wanted[preview.name])
        samples.close()


def _carry_features(bench: Workbench, point: Point, parts: list[Workbench], points: list[Point]) -> None:
    """Put the features of all shards together; where one lacks some, they are extracted again, of all samples."""
    samples, baseline, _ = bench.part(point)
    names = bench.scorer.metrics_to_do(bench.part(point))
    of_shards = [
        (part.scorer.observations, drawn.spec.seeds) for part, drawn in zip(parts, points, strict=True)
    ]
    for key in {bench.scorer.metrics[name].key(baseline) for name in names}:
        bench.scorer.observations.join(samples, key, of_shards)


def part_of(bench: Workbench, shard: Shard, place: ShardFolder) -> Workbench:
    """Return the workbench of a shard: the experiment's with a part of the seeds, in a folder of its own."""
    seeds = shard.seeds(bench.reference.spec.seeds, bench.settings.batch_size)
    # one memory for all, by which a sample that was hashed in a shard's folder is known in the experiment's
    store = Store(place.path, bench.store.memory)
    return replace(
        bench,
        settings=replace(
            bench.settings,
            experiment=f"{bench.settings.experiment}, {shard.name}",
            latency={**bench.settings.latency, "rounds": 0},
        ),
        store=store,
        scorer=bench.scorer.beside(FeatureCache(store.folder / "observations")),
        points=[replace(point, spec=replace(point.spec, seeds=seeds)) for point in bench.points],
        shard=shard,
    )


def _recorded(bench: Workbench) -> set[str]:
    """The ids of the points that have their records, so that no shard need draw anything of them."""
    return {point.point_id for point in bench.points if not point.uncalibrated and is_done(bench, point)}


def _ids(bench: Workbench) -> set[str]:
    return {point.point_id for point in bench.points}


def _work(bench: Workbench) -> str:
    """Name what the shards draw: the same for all of them, another one once points, metrics or batches change."""
    points = [point.sample_id for point in bench.points]
    return identity([points, bench.settings.metrics, bench.settings.batch_size])


def _completion(place: ShardFolder) -> str:
    """The lock of the process that completes the experiment."""
    return f"completion-{place.all_shards.name}"
