"""Run an experiment: what is missing of it, and nothing else."""

import logging
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from smoothbench.config.instantiate import build_model, ready
from smoothbench.config.spec import Settings
from smoothbench.costs.cost_table import cost_csv
from smoothbench.costs.latency_conditions import check_conditions
from smoothbench.errors import PointsFailed, UsageError
from smoothbench.planning.chosen_sites import ChosenSites
from smoothbench.planning.plan import plan_points
from smoothbench.planning.point import Point
from smoothbench.protocols import Model
from smoothbench.running.claims import claimed
from smoothbench.running.estimate import announce, check_disk
from smoothbench.running.finish import claim_folder, finish, same_work
from smoothbench.running.jobs import launch_name
from smoothbench.running.point_stages import Stages
from smoothbench.running.todo import Progress, in_order, progress, sets_to_do
from smoothbench.running.workbench import Workbench
from smoothbench.sampling.devices import started
from smoothbench.sampling.measured import Measured
from smoothbench.scoring.check_inputs import check_count
from smoothbench.scoring.scorer import Scorer
from smoothbench.storage.drawn_point import DrawnPoint
from smoothbench.storage.feature_cache import FeatureCache
from smoothbench.storage.results_folder import Store

log = logging.getLogger(__name__)

# takes an experiment's settings, folder and points, and gives them with some of the seeds
Part = Callable[[Workbench], Workbench]


class Experiment:
    """One experiment in one results folder on one loaded model; `run` takes it through its stages in order."""

    def __init__(self, settings: Settings, model: Model | None = None) -> None:
        """Load and plan; the model does not run. Raises UsageError where the experiment cannot run here.

        Args: model, one that is loaded already, by these very settings.
        """
        self.settings = settings
        device = started(settings.device, settings.tf32)
        self.store = Store(Path(settings.results_dir).absolute() / "runs" / settings.experiment)
        self._presence = self.store.enter()
        try:
            if settings.stage == "latency":
                claim_folder(self._presence)
            self._load(build_model(settings.model, device) if model is None else model)
        except BaseException:  # a process that is refused is no longer at work here
            self._presence.leave()
            raise

    def _load(self, model: Model) -> None:
        settings = self.settings
        check_conditions(settings, model)
        metrics = settings.metrics if settings.draws_samples else {}  # other stages need no encoder's weights
        ready(model, settings.stage, settings.specs[0].solver)
        scorer = Scorer(
            metrics, model, FeatureCache(self.store.folder / "observations"), settings.score_on == "device"
        )
        check_count(scorer.metrics, len(settings.specs[0].seeds))
        self._sites = ChosenSites(model)
        self._measured = Measured(self._sites, self.store, settings.force)
        points = plan_points(settings, model, self._sites, self._measured)
        self.bench = Workbench(settings, self.store, model, scorer, points)

    def run(self) -> None:
        """Estimate; calibrate; sample, score and cost every point that lacks it; then pool and measure latency.

        Raises PointsFailed at the end where points failed, or at once where the disk is full.
        """
        with self._presence, self.store.explained():
            states = progress(self.bench)
            check_disk(self.bench, states)
            announce(self.bench, states)  # before anything costs time
            if self._calibrated():
                states = progress(self.bench, states)
                check_disk(self.bench, states)
            self._warn()
            if alone := self._reference_alone():
                self._refuse(alone)
            failed = self._complete(states)
        if failed:
            raise PointsFailed(
                f"{len(failed)} of {len(self.bench.points)} points failed: {', '.join(failed)}"
            )

    def draw(
        self,
        part: Part,
        recorded: Callable[[Workbench], Container[str]],
        note: Callable[[Point, DrawnPoint], None],
    ) -> None:
        """Draw the samples of a part of the experiment that lack, and extract their features; no scores, no records.

        Args: part, makes the part's workbench of the experiment's; recorded, the ids of the points without need; note,
        called with each point and how drawing it went.
        """
        with self.store.explained():
            bench = part(self.bench)
            states = progress(bench, recorded=recorded(self.bench))
            check_disk(bench, states)
            announce(bench, states)
            if self._calibrated():
                bench = part(self.bench)
                states = progress(bench, states, recorded(self.bench))
                check_disk(bench, states)
            self._warn()
            todo = [state.point for state in states if not state.done]
            with self._bar(states) as bar:
                for point in todo:
                    bar.set_description(point.spec.name)
                    drawn = Stages(bench).draw(point, bar.update)
                    note(point, drawn)
                    if drawn.failure is not None and point is bench.reference:
                        break  # everything is paired with it

    def leave(self) -> None:
        """Be no longer at work in the folder, for a run that is not to come."""
        self._presence.leave()

    def _calibrated(self) -> bool:
        """Plan the points whose error curves or plans were not known, which are made now; whether there were any."""
        if not any(point.uncalibrated for point in self.bench.points):
            return False
        self._measured.runs = True
        points = plan_points(self.settings, self.bench.model, self._sites, self._measured)
        self.bench = replace(self.bench, points=points)
        return True

    def _reference_alone(self) -> list[Point]:
        """The other points where none of them can be sampled: the reference would be drawn for nothing.

        Not in a multirun, where other jobs share the reference, and not where the reference alone was asked for.
        """
        others = [point for point in self.bench.points if point is not self.bench.reference]
        hopeless = self.settings.draws_samples and not launch_name() and not any(p.runs for p in others)
        return others if hopeless else []

    def _refuse(self, points: Sequence[Point]) -> NoReturn:
        """Record why none of the points can be sampled, and raise UsageError, or PointsFailed where planning failed."""
        stages = Stages(self.bench)
        failed = [point.spec.name for point in points if not stages.complete(point, lambda: None)]
        cost_csv(self.store)
        reasons = dict.fromkeys(f"{point.unsupported or point.planning_error}" for point in points)
        what = f"any of the {len(points)} points" if len(points) > 1 else "what was asked for"
        message = f"nothing is drawn, as {what} cannot be: {'; '.join(reasons)}"
        raise PointsFailed(message) if failed else UsageError(message)

    def _warn(self) -> None:
        for point in self.bench.points:
            if reason := point.missing_weights or point.unsupported:
                log.warning("%s skipped: %s", point.spec.name, reason)

    def _complete(self, states: Sequence[Progress]) -> list[str]:
        """Take all points to their records, then pool and time them; the names of those that failed."""
        bench = self.bench
        with same_work(bench) as sharing:
            failed = self._points(Stages(bench), states)
            cost_csv(self.store)
            sound = [p for p in bench.points if p.policy is not None and p.spec.name not in failed]
            if bench.reference in sound:  # everything is compared with it
                finish(sound, bench, self._presence, sharing)
        if not (failed or self.settings.keep_samples):
            self._drop_reference()
        return failed

    def _points(self, stages: Stages, states: Sequence[Progress]) -> list[str]:
        """Take each point that is not done to its record; the names of those that failed."""
        bench, failed = self.bench, list[str]()
        todo = in_order(states)
        with self._bar(states) as bar:
            for point in claimed(bench, todo):
                bar.set_description(point.spec.name)
                if stages.complete(point, bar.update):
                    continue
                failed.append(point.spec.name)
                if point is bench.reference and self.settings.draws_samples:
                    stages.skip(each for each in todo if each is not point)
                    break
        return failed

    @contextmanager
    def _bar(self, states: Sequence[Progress]) -> Iterator["tqdm[NoReturn]"]:
        """Show a progress bar of the evaluations that are to be run, beside the log."""
        total = sum(evaluations for _, evaluations in sets_to_do(states))
        bar = tqdm(total=total, unit="eval", disable=None if total else True, smoothing=0.05)
        with bar, logging_redirect_tqdm():
            yield bar

    def _drop_reference(self) -> None:
        """Drop the uncached samples, unless another process is at work here, which may still need them."""
        if self._presence.last():
            self.bench.samples(self.bench.reference).drop()
        else:
            log.info("another process is at work here: uncached samples stay; the same command drops them")
