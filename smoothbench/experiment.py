"""Run an experiment: what is missing of it, and nothing else."""

import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from metrics.score import Score
from smoothbench.build import build_model, ready
from smoothbench.conditions import check_conditions
from smoothbench.costs.cost_table import cost_csv
from smoothbench.devices import started
from smoothbench.errors import MetricsFailed, PointsFailed, is_full, one_line
from smoothbench.finish import claim, finish, same_work
from smoothbench.forecast import forecast
from smoothbench.generate import generate
from smoothbench.measure import Scorer, part_of
from smoothbench.memory import Room
from smoothbench.observations import Observations
from smoothbench.points import Planner, Point
from smoothbench.provenance import provenance
from smoothbench.records import (
    as_reported,
    entry,
    is_of,
    new_record,
    resumed,
    save_scores,
    with_cost,
    with_error,
)
from smoothbench.samples import Samples
from smoothbench.storage.record import Record
from smoothbench.storage.record_parts import Status
from smoothbench.store import Store
from smoothbench.types import Model, Settings

log = logging.getLogger(__name__)


class Experiment:
    """The points of one plan in one results folder, on one loaded model."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.device = started(settings.device, settings.tf32)
        self.store = Store(Path(settings.results_dir).absolute() / "runs" / settings.experiment)
        self._working, self._room = self.store.enter(), Room()
        try:
            self._load()
        except BaseException:  # whoever is refused is no longer at work here
            self._working.leave()
            raise

    def _load(self) -> None:
        """The model, the metrics and the points, built and planned."""
        settings = self.settings
        if settings.stage == "latency":
            claim(self._working)
        self.model: Model = build_model(settings.model, self.device)
        check_conditions(settings, self.model)
        metrics = settings.metrics if settings.draws_samples else {}  # others need no encoder's weights
        ready(self.model, settings.stage)
        self.scorer = Scorer(metrics, self.model, Observations(self.store.folder / "observations"))
        self.points = Planner(settings, self.model, self.store).points()
        self.reference = self.points[0]

    def run(self) -> None:
        """Samples, scores and costs of every point that lacks them, then the cost table, pooling, latency.

        Raises PointsFailed at the end where points failed, or at once where the disk is full.
        """
        with self._working, self.store.explained():
            failed = self._run()
        if failed:
            raise PointsFailed(f"{len(failed)} of {len(self.points)} points failed: {', '.join(failed)}")

    def _run(self) -> list[str]:
        todo = [point for point in self.points if not self._done(point)]
        missing = {p.sample_id: (p, self._missing_evaluations(p)) for p in todo}
        forecast(
            self.settings, self.model, self.store, self.scorer, self.points, todo, list(missing.values())
        )
        total = sum(evaluations for _, evaluations in missing.values())
        bar = tqdm(total=total, unit="eval", disable=None if total else True, smoothing=0.05)
        with same_work(self.settings, self.store, self.points) as sharing:
            with bar, logging_redirect_tqdm():
                failed = self._work(todo, bar)
            cost_csv(self.store)
            sound = [p for p in self.points if p.policy is not None and p.spec.name not in failed]
            if self.reference in sound:  # everything is told relative to it
                finish(sound, self.settings, self.model, self.store, self.scorer, self._working, sharing)
        if not (failed or self.settings.keep_samples):
            self._drop_reference()
        return failed

    def _work(self, todo: list[Point], bar: Any) -> list[str]:
        """Run points, the reference first; what another process has in hand waits till it is free."""
        failed, waiting, refused = [], deque(todo), 0
        while waiting:
            point = waiting.popleft()
            wait = point is self.reference or refused > len(waiting)
            with self.store.lock(point.sample_id, wait=wait) as held:
                if not held:
                    waiting.append(point)
                    refused += 1
                    continue
                refused = 0
                if self._done(point):  # by now, by another process
                    continue
                if not self._attempt(point, bar):
                    failed.append(point.spec.name)
                    if point is self.reference and self.settings.draws_samples:
                        self._skip(waiting)
                        break
        return failed

    def _skip(self, points: Iterable[Point]) -> None:
        """Without the reference there is nothing to compare with, so that nothing is sampled either."""
        for point in points:
            record = new_record(self.settings, self.model, point, self.reference)
            reason = f"{self.reference.spec.name} failed, its pair"
            self.store.write_record(replace(record, reason=reason, provenance=provenance(self.device)))

    def _done(self, point: Point) -> bool:
        """Whether the record has everything that is asked for now, against this very reference."""
        record = self._record(point)
        if record is None or self.settings.force or record.status.cost != "done":
            return False
        if not as_reported(record, point, self.settings, self.model):  # a paper's side may be asked anew
            return False
        if not self.settings.draws_samples:
            return True
        arrays = self.store.scores(point.spec.name, point.point_id)
        whole = arrays is not None and arrays.keys() >= record.scores.keys()
        scored = record.status.quality == "done" and self.scorer.current(record)
        return whole and scored and record.same_as == point.same_as and self._observed(point)

    def _record(self, point: Point) -> Record | None:
        """The stored record, unless it says that it is another point's."""
        record = self.store.record(point.spec.name, point.point_id)
        return record if record and is_of(record, point, self.reference) else None

    def _attempt(self, point: Point, bar: Any) -> bool:
        """Run one point to its record; whatever it raises becomes the record's reason."""
        record = new_record(self.settings, self.model, point, self.reference)
        old, sampled = self._record(point), self.settings.draws_samples
        if old and old.status.quality == "done" and not (sampled and self._forced(point)):
            record = resumed(record, old)
        bar.set_description(point.spec.name)
        try:
            if point.failure is not None:
                raise ValueError(point.failure)
            if sampled:
                record = self._sampled(point, record, bar.update)
                record, reasons = self._scored(point, record)
                if reasons:
                    raise MetricsFailed("; ".join(reasons))
                record = replace(record, status=Status("done", "done"), reason=None)
                if not self.settings.keep_samples and point.sample_id != self.reference.sample_id:
                    self._samples(point).drop()
        except Exception as error:  # failing is a result: the other points go on, but not on a full disk
            if is_full(error):
                raise
            log.error("%s failed: %s", point.spec.name, one_line(error))
            log.debug("", exc_info=True)
            record = with_error(record, error)
        record = replace(record, provenance=provenance(self.device))
        self.store.write_record(record)
        self.store.supersede(record)
        return record.status.quality != "failed"

    def _forced(self, point: Point) -> bool:
        """Whether its samples are made again; those that it shares with an earlier point just were."""
        return self.settings.force and point.same_as is None

    def _sampled(self, point: Point, record: Record, tick: Callable[[], object]) -> Record:
        """The record with what its samples have cost; they are drawn where any are missing."""
        samples = self._samples(point)
        if self._forced(point):
            samples.forget()
            self.scorer.observations.forget(point.sample_id)
        halved = (record.cost and record.cost.batches_halved) or 0
        if not (samples.counted() and self._observed(point, read=True)):
            halved = self._observe(point, samples, tick)
        return with_cost(record, point, self.reference, samples.calls(), halved)

    def _scored(self, point: Point, record: Record) -> tuple[Record, list[str]]:
        """The record with its scores, and why others could not be made."""
        scores, reasons = self.scorer.scores([part_of(point, self.reference)])
        names = self.scorer.names(len(point.spec.seeds), point is self.reference)
        pairs = {} if point is self.reference else self._reference_scores
        new = {key: entry(self.scorer, names[key], each, pairs.get(key)) for key, each in scores.items()}
        record = replace(record, scores={**record.scores, **new})
        save_scores(self.store, record, scores)
        return record, reasons

    def _observe(self, point: Point, samples: Samples, tick: Callable[[], object]) -> int:
        """Generate, and keep what the metrics need to see; how often a batch was halved for memory."""
        halved = generate(point, self.model, samples, tick, self._room)
        samples.copy_previews(self.store.folder / "previews")
        baseline = None if point is self.reference else self._baseline(point)
        self.scorer.observe(samples, baseline, self.scorer.missing(part_of(point, self.reference), read=True))
        return halved

    def _baseline(self, point: Point) -> Samples:
        """The reference's samples, whole: they may have been lost or dropped since."""
        baseline = self._samples(self.reference)
        if point.sample_id != self.reference.sample_id:  # whose lock is held already
            with self.store.lock(self.reference.sample_id):
                generate(self.reference, self.model, baseline, lambda: None, self._room)
        return baseline

    def _drop_reference(self) -> None:
        """At the end, unless another process is at work here, which may still need it."""
        if self._working.last():
            self._samples(self.reference).drop()
        else:
            log.info("another process is at work here: uncached samples stay; the same command drops them")

    def _observed(self, point: Point, read: bool = False) -> bool:
        """Whether previews and every metric's rows are kept, and no sample (`read`: nor row) is damaged."""
        samples = self._samples(point)
        previews = all(each.exists() for each in samples.previews(self.store.folder / "previews"))
        return (
            previews
            and not samples.damaged()
            and not self.scorer.missing(part_of(point, self.reference), read)
        )

    @cached_property
    def _reference_scores(self) -> dict[str, Score]:
        """The uncached point's scores, computed once."""
        return self.scorer.scores([part_of(self.reference, self.reference)])[0]

    def _samples(self, point: Point) -> Samples:
        folder, spec = self.store.folder / "samples", point.spec
        media, batch = self.model.media, self.settings.batch_size
        sites = [site.name for site in point.trajectory.sites] if point.dynamic else []
        return Samples(folder, point.sample_id, spec.seeds, batch, media, sites)

    def _missing_evaluations(self, point: Point) -> int:
        if point.failure is not None or not self.settings.draws_samples:
            return 0
        samples = self._samples(point)
        if self._forced(point):
            return len(samples.batches()) * point.trajectory.evals
        if samples.counted() and self._observed(point):
            return 0
        return len(samples.missing()) * point.trajectory.evals
