"""Rank preservation: does caching keep the order of several seeds of one prompt or class by another score?"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy.special import stdtrit
from scipy.stats import kendalltau
from torch import Tensor

from metrics.features import Features, FloatArray
from metrics.score import Score

FEW = 20  # groups, below which an interval is wide and is said to be


class RankedGroups(ABC):
    """A metric over groups of `n` seeds of the same prompt or class, which another metric scores.

    `ranked_by` is that other metric: one with a number for each sample that does not compare with uncached ones (a
    reward, CLIPScore, the probability of a class). Cached and uncached samples of the same seeds are scored by it;
    seeds of a prompt or class make groups of n in their order, and what is left over is left out. The uncertainty is
    that over groups: the 95 % interval is Student's with as many degrees of freedom as groups less 1. p-values far
    below 0.05, as after a correction for many comparisons, are too small: of 20 groups by half. Raises ValueError for
    another score, and for n below 2.
    """

    higher_is_better = True

    def __init__(self, ranked_by: Any, n: int = 4) -> None:
        inputs = tuple(getattr(ranked_by, "inputs", ()))
        if not callable(getattr(ranked_by, "per_sample", None)) or not inputs:
            raise ValueError(
                "ranked_by must be a metric that gives a number for each sample, by its _target_"
            )
        if any(name.split(".")[0] == "baseline" for name in inputs):
            raise ValueError("ranked_by compares with uncached samples, which all tie by it: take a reward")
        if type(n) is not int or n < 2:
            raise ValueError(f"n={n!r:.60} must be a whole number of seeds, at least 2")
        self.ranked_by, self._n, self._scored = ranked_by, n, inputs
        uncached = [name for name in inputs if name != "condition"]
        self._uncached = tuple("baseline" if name == "samples" else f"baseline.{name}" for name in uncached)
        self.inputs: tuple[str, ...] = ("condition", *inputs, *self._uncached)

    def meet(self, device: torch.device, texts: Sequence[str] | None) -> None:
        """Hand the device and the texts of all prompts on to the inner score, where it takes them."""
        if (hand_on := getattr(self.ranked_by, "meet", None)) is not None:
            hand_on(device, texts)

    def per_sample(self, *inputs: Tensor) -> Tensor:
        """Return class or prompt, score and uncached score of each sample, float64 [B, 3]; ValueError for no prompt."""
        condition, cached = inputs[0], inputs[1 : 1 + len(self._scored)]
        if int(condition.min()) < 0:
            raise ValueError("samples without a prompt or class have no order within one: leave it out")
        rest = iter(inputs[1 + len(self._scored) :])
        uncached = [condition if name == "condition" else next(rest) for name in self._scored]
        scores = [self.ranked_by.per_sample(*cached), self.ranked_by.per_sample(*uncached)]
        return torch.stack([condition.double(), *(each.double().cpu() for each in scores)], dim=1)

    def score(self, rows: Features) -> Score:
        """Average the statistic over groups; ValueError for fewer than 2 groups with an order, NaN and Inf."""
        table = np.asarray(rows, dtype=np.float64)
        if bad := int((~np.isfinite(table)).any(axis=1).sum()):
            raise ValueError(
                f"{bad} of {len(table)} samples have a score of NaN or Inf: look for broken samples"
            )
        groups = [group for group in self._groups(table) if np.ptp(table[group, 2]) > 0]
        if len(groups) < 2:
            raise ValueError(
                f"{len(table)} samples make {len(groups)} groups of {self._n} seeds of one prompt or class whose "
                "scores differ, at least 2 are needed: more samples, fewer prompts, a smaller n, or another score"
            )
        values = np.array([self.statistic(table[group, 2], table[group, 1]) for group in groups])
        influence = _by_group(values, [int(group[0]) for group in groups], len(table))
        flag = f"over {len(groups)} groups of {self._n}" if len(groups) < FEW else None
        return Score(float(values.mean()), influence, flag)

    def _groups(self, table: FloatArray) -> list[np.ndarray]:
        """The places of the samples of each group."""
        groups = []
        for condition in np.unique(table[:, 0]):
            places = np.flatnonzero(table[:, 0] == condition)
            groups += [places[i : i + self._n] for i in range(0, len(places) - self._n + 1, self._n)]
        return groups

    @abstractmethod
    def statistic(self, uncached: FloatArray, cached: FloatArray) -> float:
        """Compare the scores [n] of a group's uncached samples with those of its cached ones; 1: the same order."""


class RankPreserved(RankedGroups):
    """The mean over groups of Kendall's tau between cached and uncached scores: 1 the same order, 0 none, -1 reversed.

    It is tau-b, which allows for ties; where all cached scores of a group tie, it counts 0, and groups whose uncached
    scores all tie are left out.
    """

    name = "rank_preserved"
    version = 1

    def statistic(self, uncached: FloatArray, cached: FloatArray) -> float:
        """Compute tau-b of two rows of scores [n]."""
        tau = float(kendalltau(uncached, cached).statistic)
        return tau if np.isfinite(tau) else 0.0


class BestPreserved(RankedGroups):
    """The share of groups, 0 to 1, whose best sample by the cached scores is also the best by the uncached ones.

    It is what best-of-n with caching keeps: 1 / n is chance. Samples that tie for the best count as the best.
    """

    name = "best_preserved"
    version = 1

    def statistic(self, uncached: FloatArray, cached: FloatArray) -> float:
        """Return 1.0 where the best cached sample is a best uncached one, else 0.0; of ties the first seed counts."""
        return float(uncached[int(cached.argmax())] == uncached.max())


def _by_group(values: FloatArray, places: Sequence[int], count: int) -> FloatArray:
    """The influence [N] of samples of which only groups are independent.

    The first sample of each group carries the group's deviation from the mean, scaled so that Student's interval over N
    samples is that over the groups: with their standard error and their degrees of freedom.
    """
    groups, influence = len(values), np.zeros(count)
    wider = float(stdtrit(groups - 1, 0.975) / stdtrit(count - 1, 0.975))
    scale = wider * np.sqrt(count * (count - 1) / (groups * (groups - 1)))
    influence[list(places)] = scale * (values - values.mean())
    return influence
