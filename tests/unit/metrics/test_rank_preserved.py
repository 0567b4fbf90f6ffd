"""Order of seeds under caching: Kendall's tau and best-of-n against hand-made orders, and their intervals."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import stdtrit
from torch import Tensor

from metrics.clap_score import ClapScore
from metrics.class_probability import ClassLogProbability
from metrics.paired import PSNR
from metrics.rank_preserved import BestPreserved, RankPreserved
from metrics.score import SampleMean


class Brightness(SampleMean):
    """The mean grey level of a sample."""

    inputs: tuple[str, ...] = ("samples",)
    higher_is_better = True

    def per_sample(self, *inputs: Tensor) -> Tensor:
        return inputs[0].double().flatten(1).mean(1)


def table(*groups: tuple[list[float], list[float]]) -> np.ndarray:
    """Rows of condition, cached and uncached score, seed by seed, of one prompt a group of uncached, cached scores."""
    rows = [
        (condition, cached, uncached)
        for condition, scores in enumerate(groups)
        for uncached, cached in zip(*scores, strict=True)
    ]
    return np.array(rows, dtype=np.float64)


SAME = ([1.0, 2.0, 3.0, 4.0], [10.0, 20.0, 30.0, 40.0])
SWAPPED = ([1.0, 2.0, 3.0, 4.0], [1.0, 3.0, 2.0, 4.0])  # one pair of six: tau = (5 - 1) / 6
REVERSED = ([1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0])
TIED = ([1.0, 2.0, 3.0, 4.0], [7.0, 7.0, 7.0, 7.0])
NO_ORDER = ([5.0, 5.0, 5.0, 5.0], [1.0, 2.0, 3.0, 4.0])


def test_tau_and_best_of_n_of_known_orders() -> None:
    rows = table(SAME, SWAPPED, REVERSED, TIED, NO_ORDER)
    tau, best = RankPreserved(Brightness()).score(rows), BestPreserved(Brightness()).score(rows)
    assert tau.value == pytest.approx((1 + 4 / 6 - 1 + 0) / 4)
    assert best.value == pytest.approx(2 / 4)  # of ties the first counts, which is not the best
    assert tau.flag == "over 4 groups of 4"


def test_tau_allows_for_ties_as_tau_b_does() -> None:
    """Five pairs of the same order and one tie: 5 / sqrt(6 * 5)."""
    rows = table(([1.0, 2.0, 3.0, 4.0], [1.0, 1.0, 2.0, 3.0]), SAME)
    assert RankPreserved(Brightness()).score(rows).value == pytest.approx((5 / np.sqrt(30) + 1) / 2)


def test_ties_for_the_best_count_as_the_best() -> None:
    rows = table(([3.0, 3.0, 1.0, 0.0], [0.0, 9.0, 1.0, 0.0]), SAME)
    assert BestPreserved(Brightness()).score(rows).value == 1.0


def test_the_interval_is_student_s_over_groups() -> None:
    rows = table(SAME, SWAPPED, REVERSED, SAME, SWAPPED)
    values = np.array([1, 4 / 6, -1, 1, 4 / 6])
    estimate = RankPreserved(Brightness()).score(rows).estimate
    half = float(stdtrit(4, 0.975)) * values.std(ddof=1) / np.sqrt(5)
    assert (estimate.value - estimate.low, estimate.high - estimate.value) == pytest.approx((half, half))
    assert estimate.value == pytest.approx(values.mean())


def test_seeds_of_a_prompt_make_groups_in_their_order() -> None:
    one = table(SAME, REVERSED, SAME, REVERSED)
    one[:, 0] = 3.0  # one class
    interleaved = np.stack([one, one + np.array([1, 0, 0])]).reshape(2, -1, 3).swapaxes(0, 1).reshape(-1, 3)
    leftover = np.concatenate([interleaved, [[3.0, 99.0, -1.0]]])
    assert RankPreserved(Brightness()).score(one).value == 0.0
    assert RankPreserved(Brightness()).score(interleaved).value == 0.0
    assert BestPreserved(Brightness()).score(leftover).value == 0.5
    assert RankPreserved(Brightness(), n=2).score(one).value == 0.0


def test_samples_and_uncached_ones_are_scored_alike() -> None:
    samples = torch.randint(0, 256, (6, 1, 4, 4), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    metric = RankPreserved(Brightness())
    assert metric.inputs == ("condition", "samples", "baseline")
    rows = metric.per_sample(torch.arange(6) % 2, samples, samples.flip(0))
    level = samples.double().flatten(1).mean(1)
    np.testing.assert_allclose(rows, torch.stack([torch.arange(6) % 2, level, level.flip(0)], 1))


def test_what_ranks_may_look_at_an_encoder_and_the_class() -> None:
    metric = RankPreserved(ClassLogProbability())
    assert metric.inputs == ("condition", "logits", "condition", "baseline.logits")
    classes, logits = torch.tensor([0, 1]), torch.tensor([[2.0, 0.0], [0.0, 0.0]])
    rows = metric.per_sample(classes, logits, classes, logits.flip(1))
    np.testing.assert_allclose(rows[:, 1], [-np.log(1 + np.exp(-2)), -np.log(2)], rtol=1e-12)
    np.testing.assert_allclose(rows[:, 2], [-2 - np.log(1 + np.exp(-2)), -np.log(2)], rtol=1e-12)


def test_the_texts_of_prompts_reach_what_ranks() -> None:
    class Reads(Brightness):
        """A score that reads prompts."""

        texts: Any = None

        def meet(self, device: torch.device, texts: Any) -> None:
            self.texts = texts

    inner = Reads()
    RankPreserved(inner).meet(torch.device("cpu"), ("a", "b"))
    assert inner.texts == ("a", "b")
    RankPreserved(Brightness()).meet(torch.device("cpu"), None)


def test_bad_input_is_one_line() -> None:
    for ranked_by, message in ((PSNR(), "which all tie by it"), (3, "must be a metric that gives a number")):
        with pytest.raises(ValueError, match=message):
            RankPreserved(ranked_by)
    for n in (1, 2.0, True):
        with pytest.raises(ValueError, match="must be a whole number of seeds, at least 2"):
            RankPreserved(Brightness(), n=n)  # type: ignore[arg-type]
    rows = table(SAME, REVERSED)
    with pytest.raises(ValueError, match="8 samples make 0 groups of 5 seeds of one prompt or class"):
        RankPreserved(Brightness(), n=5).score(rows)
    rows[2, 1] = np.inf
    with pytest.raises(ValueError, match="1 of 8 samples have a score of NaN or Inf"):
        RankPreserved(Brightness()).score(rows)
    clap = RankPreserved(ClapScore(torch.eye(2)))
    with pytest.raises(ValueError, match="without a prompt or class have no order"):
        clap.per_sample(torch.tensor([0, -1]), torch.eye(2), torch.tensor([0, -1]), torch.eye(2))
