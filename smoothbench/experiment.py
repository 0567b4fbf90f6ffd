"""Run an experiment: what is missing of it, and nothing else."""

import json
import logging
import math
import shutil
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from smoothbench.allocator import keep_freed_memory
from smoothbench.build import build_model, device_of
from smoothbench.caching import Schedule
from smoothbench.errors import PointsFailed, UsageError, one_line
from smoothbench.generate import generate
from smoothbench.measure import Scorer
from smoothbench.points import Planner, Point
from smoothbench.provenance import provenance
from smoothbench.records import cost_csv, influences, new_record, save_scores
from smoothbench.samples import Samples
from smoothbench.store import Store, write_atomic
from smoothbench.timing import measure_latency
from smoothbench.types import Model, Settings

log = logging.getLogger(__name__)


class Experiment:
    """The points of one plan in one results folder, on one loaded model."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        keep_freed_memory()
        self.device = device_of(settings.device)
        self.store = Store(Path(settings.results_dir).absolute() / "runs" / settings.experiment)
        self.store.check()
        self.model: Model = build_model(settings.model, self.device)
        self.scorer = Scorer(settings.metrics, self.model)
        self.points = Planner(settings, self.model, self.store).points()
        self.reference = self.points[0]

    def run(self) -> None:
        """Samples, scores and costs of every point that lacks them, then latency and the cost table.

        Raises PointsFailed at the end where points failed.
        """
        todo = [point for point in self.points if not self._done(point)]
        self._announce(todo)
        with self._bar(todo) as bar, logging_redirect_tqdm():
            failed = [point for point in todo if not self._attempt(point, bar)]
        cost_csv(self.store)
        sound = [point for point in self.points if point not in failed]
        if self.settings.latency["rounds"] and self.reference in sound:  # ratios are to the reference
            measure_latency(sound, self.model, self.settings.latency, self.store, self.settings.force)
        if failed:
            names = ", ".join(point.spec.name for point in failed)
            raise PointsFailed(f"{len(failed)} of {len(self.points)} points failed: {names}")

    def _done(self, point: Point) -> bool:
        """Whether the record has everything that is asked for now, against this very reference."""
        record = self._record(point)
        if record is None or self.settings.force or record["status"]["cost"] != "done":
            return False
        return self.settings.stage == "cost" or (
            self._scored(point, record) and self._arrays(point) is not None
        )

    def _record(self, point: Point) -> dict[str, Any] | None:
        """The stored record, unless it was paired with another reference."""
        record = self.store.record(point.spec.name, point.point_id)
        return record if record and record["reference_id"] == self.reference.sample_id else None

    def _scored(self, point: Point, record: dict[str, Any]) -> bool:
        """Whether every score that is asked for is there, by the metric as it is now."""
        names = self.scorer.names(point.spec.num_samples, point is self.reference)
        hashes = {score: record["scores"].get(score, {}).get("config_hash") for score in names}
        current = {score: self.scorer.config_hash(name) for score, name in names.items()}
        return record["status"]["quality"] == "done" and hashes == current

    def _arrays(self, point: Point) -> dict[str, Any] | None:
        return self.store.scores(point.spec.name, point.point_id)

    def _attempt(self, point: Point, bar: Any) -> bool:
        """Run one point to its record; whatever it raises becomes the record's reason."""
        record = new_record(self.settings, self.model, point, self.reference)
        old = self._record(point)
        if old and old["status"]["quality"] == "done":  # what is known already stays known
            record |= {"scores": old["scores"], "status": old["status"], "reason": None}
        bar.set_description(point.spec.name)
        try:
            if point.failure is not None:
                raise ValueError(point.failure)
            if self.settings.stage != "cost":
                self._sample_and_score(point, record, bar.update)
        except Exception as error:  # failing is a result: the other points go on
            log.error("%s failed: %s", point.spec.name, one_line(error))
            log.debug("", exc_info=True)
            status = {"quality": "failed", "cost": "failed" if point.failure else "done"}
            record |= {"status": status, "reason": one_line(error), "scores": {}}
        self.store.write_record(record | {"provenance": provenance(self.device)})
        return record["status"]["quality"] != "failed"

    def _sample_and_score(self, point: Point, record: dict[str, Any], tick: Callable[[], object]) -> None:
        samples, baseline = self._samples(point), None
        if self.settings.force and point.same_as is None:
            samples.forget()
        generate(point, self.model, samples, tick)
        samples.copy_previews(self.store.folder / "previews")
        if point is not self.reference:
            baseline = self._samples(self.reference)
            generate(self.reference, self.model, baseline, lambda: None)  # it may have been damaged since
        scores = self.scorer.scores(samples, baseline)
        names = self.scorer.names(point.spec.num_samples, point is self.reference)
        for score, value in scores.items():
            pair = None if baseline is None else self._reference_scores.get(score)
            record["scores"][score] = self.scorer.entry(names[score], value, pair)
        record["status"] = {"quality": "done", "cost": "done"}
        record["cost"]["macs"] = round(samples.macs())
        kept = {
            name: values for name, values in (self._arrays(point) or {}).items() if name in record["scores"]
        }
        save_scores(self.store, point, kept | influences(samples, scores))

    @cached_property
    def _reference_scores(self) -> dict[str, Any]:
        """The uncached point's scores, computed once from its samples."""
        return self.scorer.scores(self._samples(self.reference), None)

    def _samples(self, point: Point) -> Samples:
        folder, spec = self.store.folder / "samples", point.spec
        return Samples(folder, point.sample_id, spec.seeds, self.settings.batch_size, self.model.media)

    def _bar(self, todo: list[Point]) -> Any:
        missing = {p.sample_id: self._evaluations(p) for p in todo}
        return tqdm(
            total=sum(missing.values()), unit="eval", disable=None if missing else True, smoothing=0.05
        )

    def _evaluations(self, point: Point) -> int:
        if point.failure is not None or self.settings.stage == "cost":
            return 0
        return len(self._samples(point).missing()) * point.trajectory.evals

    def _announce(self, todo: list[Point]) -> None:
        """One line before the first sample, and UsageError where the disk is too small."""
        name, done = self.settings.experiment, len(self.points) - len(todo)
        if not todo:
            log.info("%s: %d points, all done before: nothing to run", name, done)
            return
        distinct = {p.sample_id: p for p in todo if self._evaluations(p)}
        need = sum(math.prod(self.model.sample_shape) * 2 * p.spec.num_samples for p in distinct.values())
        free = shutil.disk_usage(self.store.folder).free
        if need > free:
            raise UsageError(
                f"{self.store.folder} has {free / 1e9:.1f} GB free, but the samples need {need / 1e9:.1f}"
            )
        end = datetime.now() + timedelta(seconds=self._seconds(list(distinct.values())))
        log.info(
            "%s: %d points, %d done, %d to run (%d sets of samples), about %.0f MB on disk, expected end %s",
            *(name, len(self.points), done, len(todo), len(distinct), need / 1e6, end.strftime("%H:%M")),
        )

    @torch.inference_mode()
    def _seconds(self, points: list[Point]) -> float:
        """An estimate from one timed evaluation: samples by MACs, then the latency stage likewise."""
        if not points:
            return 0.0
        batch = min(self.settings.batch_size, points[0].spec.num_samples)
        x, conditions = torch.zeros(batch, *self.model.sample_shape), self.model.conditions(range(batch))
        for _ in range(2):  # the first call warms up
            started = time.perf_counter()
            self.model.predict(x.to(self.device), 0.0, conditions)
        trajectory = self.reference.trajectory
        per_mac = (time.perf_counter() - started) / batch * trajectory.evals / self.reference.planned_macs
        asked = self.settings.latency
        timed = (asked["rounds"] + asked["warmup"] + 1) * asked["batch_size"] if asked["rounds"] else 0
        return sum(per_mac * p.planned_macs * (p.spec.num_samples + timed) for p in points)


def save_plan(settings: Settings) -> Path:
    """stage=calibrate: write the error curves (*.npz), or the schedule of the asked policy (*.json)."""
    target = Path(settings.out or "").absolute()
    if target.suffix not in (".npz", ".json"):
        raise UsageError(
            f"stage=calibrate needs out=FILE.npz (error curves) or out=FILE.json (schedule), not {target}"
        )
    device = device_of(settings.device)
    store = Store(Path(settings.results_dir).absolute() / "runs" / settings.experiment)
    store.check()
    planner = Planner(settings, build_model(settings.model, device), store)
    point = planner.point(settings.specs[-1])
    if target.suffix == ".npz":
        data = planner.curves(point.solver, point.spec.solver).to_bytes()
    elif isinstance(point.policy, Schedule):
        data = (json.dumps(point.policy.to_json()) + "\n").encode()
    else:
        raise UsageError(
            point.failure or f"{point.spec.label} decides at run time: it has no schedule to save"
        )
    try:
        write_atomic(target, data)
    except OSError as error:
        raise UsageError(f"out={target}: cannot be written ({error.strerror})") from None
    return target
