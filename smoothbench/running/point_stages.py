"""The stages of one point: sample, extract features, score, count the cost, write the record."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cached_property

from metrics.score import BareScore, Score
from smoothbench.errors import MetricsFailed, is_full, named
from smoothbench.planning.point import Point
from smoothbench.running.new_record import new_record, resumed, with_cost, with_error
from smoothbench.running.todo import has_features, stored_record
from smoothbench.running.workbench import Workbench
from smoothbench.sampling.point_batches import generate
from smoothbench.scoring.score_entry import entry, save_scores
from smoothbench.storage.drawn_point import DrawnPoint
from smoothbench.storage.provenance import provenance
from smoothbench.storage.record import Record
from smoothbench.storage.record_parts import Status
from smoothbench.storage.sample_files import Samples

log = logging.getLogger(__name__)

Tick = Callable[[], object]  # called after each evaluation


class Stages:
    """Takes the points of an experiment through their stages; the reference's scores are computed once for all."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench

    def complete(self, point: Point, tick: Tick) -> bool:
        """Take one point to its record; whether it succeeded.

        A point that is not supported is skipped, and an error is a failure: the record says why. The caller holds the
        lock of the point's samples. Raises OSError alone, where the disk is full.
        """
        bench, record = self.bench, self._known(point)
        if point.unsupported is not None:
            self._write(record)
            return True
        try:
            if point.planning_error is not None:
                raise ValueError(point.planning_error)
            if (failure := self._drawn(point).failure) is not None:
                raise RuntimeError(failure)
            if bench.settings.draws_samples:
                record = self._sample(point, record, tick)
                record, reasons = self._score(point, record)
                if reasons:
                    raise MetricsFailed("; ".join(reasons))
                record = replace(record, status=Status("done", "done"), reason=None)
                if not bench.settings.keep_samples and point.sample_id != bench.reference.sample_id:
                    bench.samples(point).drop()
        except Exception as error:  # a failure is a result: the other points go on, but not on a full disk
            if is_full(error):
                raise
            log.error("%s failed: %s", point.spec.name, named(error))
            log.debug("", exc_info=True)
            record = with_error(record, error)
        self._write(record)
        return record.status.quality != "failed"

    def draw(self, point: Point, tick: Tick) -> DrawnPoint:
        """Draw a point's samples and extract their features, without scores or a record; return how that went."""
        bench, samples = self.bench, self.bench.samples(point)
        try:
            cuts = self._sample_and_extract(point, samples, tick)
        except Exception as error:  # the record of the experiment's point will say so
            if is_full(error):
                raise
            log.error("%s failed: %s", point.spec.name, named(error))
            log.debug("", exc_info=True)
            return DrawnPoint(failure=named(error))
        if not bench.settings.keep_samples and point.sample_id != bench.reference.sample_id:
            samples.drop()
        return DrawnPoint(cuts)

    def _write(self, record: Record) -> None:
        """Write a record with where and when it was made, in place of earlier ones of the same point."""
        record = replace(record, provenance=provenance(self.bench.model.device))
        self.bench.store.write_record(record)
        self.bench.store.supersede(record)

    def skip(self, points: Iterable[Point]) -> None:
        """Write records of points that are not sampled, since their reference failed."""
        bench = self.bench
        for point in points:
            old = stored_record(bench, point)
            record = new_record(bench.settings, bench.model, point, bench.reference, old)
            reason = f"{bench.reference.spec.name} failed, its pair"
            bench.store.write_record(
                replace(record, reason=reason, provenance=provenance(bench.model.device))
            )

    def _known(self, point: Point) -> Record:
        """A record with all that is known before the first sample, earlier scores included."""
        bench = self.bench
        old, sampled = stored_record(bench, point), bench.settings.draws_samples
        record = new_record(bench.settings, bench.model, point, bench.reference, old)
        if old and old.status.quality == "done" and not (sampled and bench.regenerates(point)):
            return resumed(record, old)
        return record

    def _sample(self, point: Point, record: Record, tick: Tick) -> Record:
        """The record with the cost of the point's samples, which are drawn where any are missing."""
        bench = self.bench
        samples = bench.samples(point)
        if bench.regenerates(point):
            samples.forget()
            bench.scorer.observations.forget(point.sample_id)
        in_shards = self._drawn(point).batches_halved
        cuts = (record.cost and record.cost.batches_halved) or in_shards
        if not (samples.counted() and has_features(bench, point, read=True)):
            cuts = in_shards + self._sample_and_extract(point, samples, tick)
        return with_cost(record, point, bench.reference, samples.calls(), cuts)

    def _drawn(self, point: Point) -> DrawnPoint:
        """What shards say of a point that they drew."""
        return self.bench.drawn.get(point.point_id, DrawnPoint())

    def _score(self, point: Point, record: Record) -> tuple[Record, list[str]]:
        """The record with its scores, and the reasons why others could not be computed."""
        bench = self.bench
        scores, reasons = bench.scorer.scores([bench.part(point)])
        names = bench.scorer.score_names(len(point.spec.seeds), point is bench.reference)
        pairs = {} if point is bench.reference else self._reference_scores
        new = {key: entry(bench.scorer, names[key], each, pairs.get(key)) for key, each in scores.items()}
        record = replace(record, scores={**record.scores, **new})
        save_scores(bench.store, record, scores)
        return record, reasons

    def _sample_and_extract(self, point: Point, samples: Samples, tick: Tick) -> int:
        """Generate missing samples and extract each metric's features; the number of times a batch was cut in two."""
        bench = self.bench
        cuts = generate(point, bench.model, samples, tick, bench.largest_batch)
        samples.copy_previews(bench.store.folder / "previews")
        baseline = None if point is bench.reference else self._baseline(point)
        bench.scorer.extract(samples, baseline, bench.scorer.metrics_to_do(bench.part(point), read=True))
        return cuts

    def _baseline(self, point: Point) -> Samples:
        """The reference's samples, all of them: they may have been lost or dropped since."""
        bench = self.bench
        baseline = bench.samples(bench.reference)
        if (
            point.sample_id != bench.reference.sample_id
        ):  # the caller holds this point's lock; the baseline needs its own
            with bench.store.lock(bench.reference.sample_id):
                generate(bench.reference, bench.model, baseline, lambda: None, bench.largest_batch)
        return baseline

    @cached_property
    def _reference_scores(self) -> dict[str, Score | BareScore]:
        """The scores of the reference, by name."""
        return self.bench.scorer.scores([self.bench.part(self.bench.reference)])[0]
