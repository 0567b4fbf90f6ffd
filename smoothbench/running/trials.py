"""Try points on the calibration's own samples: how far they lie from the uncached ones, before others are drawn."""

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from metrics.score import BareScore, Score
from smoothbench.caching import Schedule
from smoothbench.caching.policy import DynamicPolicy
from smoothbench.config.instantiate import build_policy
from smoothbench.config.spec import Settings, Spec
from smoothbench.errors import UsageError, one_line
from smoothbench.planning.chosen_sites import ChosenSites
from smoothbench.planning.plan import plan_point
from smoothbench.planning.point import Point
from smoothbench.protocols import Model
from smoothbench.sampling.calibrate_point import calibration_seeds
from smoothbench.sampling.measured import Measured
from smoothbench.sampling.out_of_memory import LargestBatch
from smoothbench.sampling.point_batches import sample_in_parts
from smoothbench.scoring.scorer import Scorer
from smoothbench.storage.feature_cache import concatenate_batches
from smoothbench.storage.results_folder import Store


class Trials:
    """Plans points, draws the calibration's samples with each, and scores their distance to the uncached ones.

    `metrics` names the paired metrics that there are; `metric` is the one that decides.
    """

    def __init__(self, settings: Settings, model: Model, store: Store, scorer: Scorer, metric: str) -> None:
        self.settings, self.model, self.scorer, self.metric = settings, model, scorer, metric
        self._sites = ChosenSites(model)
        self._measured = Measured(self._sites, store, settings.force, runs=True)
        self._largest = LargestBatch()
        self._scores: dict[str, Score] = {}  # by samples

    @property
    def higher_is_better(self) -> bool:
        """Whether more of the metric that decides is nearer to the uncached samples."""
        better: bool = self.scorer.metrics[self.metric].metric.higher_is_better
        return better

    def planned(self, spec: Spec) -> Point:
        """Plan a point; UsageError, in one line, where there is no schedule."""
        if isinstance(
            build_policy(spec.policy, spec.where), DynamicPolicy
        ):  # whose budget takes runs to find
            raise UsageError(f"{spec.label} decides at run time: it has no schedule to save")
        point = plan_point(spec, self.model, self._sites, self._measured, self.settings.batch_size)
        if isinstance(point.policy, Schedule):
            return point
        raise UsageError(point.unsupported or point.planning_error or point.missing_weights or "no schedule")

    def score(self, point: Point) -> Score:
        """Return the score of the metric that decides, over the calibration's samples.

        Raises UsageError where the metric refuses them, and where it has no interval.
        """
        if point.sample_id not in self._scores:
            pairs = zip(self._batches, self._samples(point), self._uncached, strict=True)
            bound_metric = self.scorer.metrics[self.metric]
            features = concatenate_batches(
                self._features(seeds, samples, baseline) for seeds, samples, baseline in pairs
            )
            try:
                score: Score | BareScore = bound_metric.metric.score(features["score"])
            except ValueError as error:
                raise UsageError(f"{self.metric} of the calibration's samples: {one_line(error)}") from None
            if isinstance(score, BareScore):
                raise UsageError(f"{self.metric}: has no interval to decide by: take another metric")
            self._scores[point.sample_id] = score
        return self._scores[point.sample_id]

    def _features(self, seeds: Sequence[int], samples: Tensor, baseline: Tensor) -> dict[str, Tensor]:
        condition = self.model.labels_or_prompts(seeds)
        batch = {"samples": samples, "baseline": baseline, "condition": condition}
        reasons: dict[str, str] = {}
        features = self.scorer.features_of(batch, {"score": self.scorer.metrics[self.metric]}, reasons)
        if reasons:
            raise UsageError(f"{self.metric}: {reasons['score']}")
        return features

    @cached_property
    def _batches(self) -> list[range]:
        seeds, size = calibration_seeds(self.settings.specs[-1].calibration), self.settings.batch_size
        return [seeds[start : start + size] for start in range(0, len(seeds), size)]

    @cached_property
    def _uncached(self) -> list[Tensor]:
        return self._samples(self.planned(self.settings.specs[0]))

    def _samples(self, point: Point) -> list[Tensor]:
        parts = [
            sample_in_parts(point, self.model, seeds, lambda: None, self._largest) for seeds in self._batches
        ]
        return [torch.cat([samples for samples, _ in batch]) for batch in parts]
