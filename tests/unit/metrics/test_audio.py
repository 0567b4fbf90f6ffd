"""Audio metrics on networks' outputs against their definitions, written out, and what they refuse."""

from typing import Any

import numpy as np
import pytest
import torch

from metrics.clap_score import ClapScore
from metrics.features import Features
from metrics.frechet_windows import WindowedFrechetDistance
from metrics.prompt_agreement import PromptAgreement
from metrics.score import SampleMean
from metrics.tag_divergence import TagDivergence
from tests.oracles.inception import frechet

RNG = np.random.default_rng
# --- the Frechet distance of windows


def windows(seed: int, clips: int = 60, count: int = 3, width: int = 8) -> Features:
    """Windows that share most of their luck with their clip."""
    rng = RNG(seed)
    shared = rng.normal(size=(clips, 1, width)) @ rng.normal(size=(width, width))
    return shared + 0.5 * rng.normal(size=(clips, count, width)) + rng.normal(size=width)


@pytest.mark.parametrize("clips", [60, 2])
def test_windows_are_pooled(clips: int) -> None:
    real, rows = windows(0), windows(1, clips)
    metric = WindowedFrechetDistance()
    metric.fit(real)
    score = metric.score(rows)
    assert score.value == pytest.approx(frechet(rows.reshape(-1, 8), real.reshape(-1, 8)), rel=1e-6)
    assert score.influence.shape == (clips,) and score.flag == f"N={clips} is small against d=8"


def test_published_statistics_are_read_by_their_names(tmp_path: Any) -> None:
    real, rows = windows(0).reshape(-1, 8), windows(1)
    np.savez(tmp_path / "ref.npz", mu_ref=real.mean(0), sigma_ref=np.cov(real, rowvar=False))
    metric = WindowedFrechetDistance(str(tmp_path / "ref.npz"), "_ref")
    assert metric.score(rows).value == pytest.approx(frechet(rows.reshape(-1, 8), real), rel=1e-6)
    assert metric.digest is not None
    with pytest.raises(ValueError, match="lack mu_w, sigma_w"):
        WindowedFrechetDistance(str(tmp_path / "ref.npz"), "_w")


def test_the_influence_is_that_of_clips() -> None:
    metric, rows = WindowedFrechetDistance(), windows(1, clips=300)
    metric.fit(windows(0, clips=300))
    score = metric.score(rows)
    without = [metric.score(np.delete(rows, i, axis=0)).value for i in range(40)]
    jackknife = 299 * (score.value - np.array(without))
    # they differ by the second order
    np.testing.assert_allclose(score.influence[:40], jackknife, atol=0.1 * score.influence.std())


def test_the_standard_error_is_right_for_windows_that_depend_on_each_other() -> None:
    metric = WindowedFrechetDistance()
    metric.fit(windows(0, clips=2000))
    rng, mixing = RNG(7), RNG(0)
    mixing.normal(size=(2000, 1, 8))
    turn = mixing.normal(size=(8, 8))
    found = []
    for _ in range(150):
        shared = rng.normal(size=(400, 1, 8)) @ turn
        found.append(metric.score(shared + 0.5 * rng.normal(size=(400, 3, 8)) + 1).estimate)
    spread = np.std([each.value for each in found])
    assert np.mean([each.se for each in found]) == pytest.approx(spread, rel=0.2)
    independent = spread / np.sqrt(3)
    assert np.mean([each.se for each in found]) > 1.3 * independent, "clusters matter here"


def test_bad_windows_are_one_clear_line() -> None:
    metric, rows = WindowedFrechetDistance(), windows(1)
    metric.fit(windows(0))
    broken = rows.copy()
    broken[3, 1, 2] = np.nan
    for wrong, message in (
        (rows[:, 0], r"windows must be \[N, W, d\] and not empty, not \[60, 8\]"),
        (rows[..., :7], "windows have width 7, .* 8"),
        (broken, "1 of 180 rows of windows hold NaN"),
        (rows[:1], "needs at least 2 samples, has 1"),
    ):
        with pytest.raises(ValueError, match=message):
            metric.score(wrong)


# --- what knows the prompt


def test_kl_is_its_definition_in_its_direction() -> None:
    logits, reference = RNG(0).normal(size=(20, 7)) * 3, RNG(1).normal(size=(5, 7)) * 3
    condition = torch.arange(20) % 5
    expected = []
    for row, number in zip(logits, condition.tolist(), strict=True):
        p = np.exp(row) / np.exp(row).sum()
        q = np.exp(reference[number]) / np.exp(reference[number]).sum()
        expected.append(sum(a * (np.log(a) - np.log(b + 1e-6)) for a, b in zip(p, q, strict=True)))
    metric = TagDivergence(torch.from_numpy(reference))
    found = metric.per_sample(torch.from_numpy(logits), condition)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9)
    assert metric.score(found.numpy()).value == pytest.approx(np.mean(expected), rel=1e-9)
    theirs = torch.nn.functional.kl_div(
        (torch.from_numpy(reference).softmax(1)[condition] + 1e-6).log(),
        torch.from_numpy(logits).softmax(1),
        reduction="none",
    ).sum(1)
    np.testing.assert_allclose(found.numpy(), theirs.numpy(), rtol=1e-6)
    assert TagDivergence(torch.from_numpy(logits[:5])).digest != metric.digest
    assert not metric.higher_is_better


def test_clap_score_is_the_cosine() -> None:
    clips, captions = RNG(0).normal(size=(6, 4)), RNG(1).normal(size=(3, 4))
    condition = torch.tensor([0, 1, 2, 2, 1, 0])
    expected = [
        clip @ captions[n] / np.sqrt((clip @ clip) * (captions[n] @ captions[n]))
        for clip, n in zip(clips, condition.tolist(), strict=True)
    ]
    found = ClapScore(torch.from_numpy(captions)).per_sample(torch.from_numpy(clips), condition)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


def test_agreement_with_prompts() -> None:
    metric = PromptAgreement(torch.tensor([2, 0]), "pattern")
    assert metric.inputs == ("pattern", "condition")
    logits = torch.eye(3)[[2, 0, 1]]
    assert metric.per_sample(logits, torch.tensor([0, 1, 1])).tolist() == [1.0, 1.0, 0.0]


@pytest.mark.parametrize(
    "metric",
    [TagDivergence(torch.zeros(2, 3)), ClapScore(torch.ones(2, 3)), PromptAgreement(torch.tensor([0, 1]))],
)
def test_bad_prompts_and_outputs_are_one_clear_line(metric: SampleMean) -> None:
    outputs, condition = torch.ones(4, 3), torch.tensor([0, 1, 1, 0])
    broken = outputs.clone()
    broken[2, 1] = torch.nan
    for given, asked, message in (
        (outputs, torch.tensor([0, 1, -1, 0]), "has the prompts -1 to 1, .* 0 to 1: take both from one list"),
        (outputs, torch.tensor([0, 1, 2, 0]), "has the prompts 0 to 2"),
        (outputs, condition.float(), r"condition must be int64 \[B\]"),
        (outputs, condition[:3], "prompt|class"),
        (broken, condition, "1 of 4 rows of .* hold NaN"),
        (outputs[:, 0], condition, r"must be \[N, d\]"),
    ):
        with pytest.raises(ValueError, match=message):
            metric.per_sample(given, asked)


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (TagDivergence, {"reference": torch.zeros(2, 3), "epsilon": 0.0}, r"epsilon=0\.0 must be"),
        (TagDivergence, {"reference": None}, "reference must be a tensor of 2 dimensions"),
        (ClapScore, {"captions": torch.full((2, 3), torch.nan)}, "2 of 2 rows of captions hold NaN"),
        (PromptAgreement, {"labels": torch.zeros(0, dtype=torch.long)}, "labels must be a tensor of 1 dim"),
    ],
)
def test_bad_tables_are_one_clear_line(make: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**arguments)
