"""The nano twin's errors beside DiT-XL/2's: the statistics by hand, the samplers, and what is written."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from smoothbench.report.studies.error_prior import STRETCHES, published, rank_correlation, ratio, write
from smoothbench.report.studies.error_prior_runs import ancestral, ddim, twin_errors


def test_what_is_published() -> None:
    theirs = published()
    assert theirs.shape == (9, 50)
    assert theirs[0, 0] == 0.386799 and (theirs[0, :49] > 0).all() and theirs[8, 41:].tolist() == [0.0] * 9


def test_rank_correlation_and_ratio() -> None:
    theirs, random = published(), np.random.default_rng(3)
    ours = theirs[:, :, None] * random.lognormal(0.0, 1.0, (9, 50, 20))
    result = rank_correlation(theirs, ours, 2, resamples=300)
    expected = spearmanr(theirs[1, :48], ours[1, :48].mean(1)).statistic
    assert result.value == pytest.approx(expected) and result.low < result.value < result.high
    halves = ratio(theirs, theirs[:, :, None].repeat(4, 2) / 2, 3, STRETCHES["36-48"], resamples=10)
    assert (halves.value, halves.low, halves.high) == pytest.approx((0.5, 0.5, 0.5))


def test_ancestral_sampling_keeps_the_variance() -> None:
    """Of a clean sample of 0 the state is noise alone, and stays noise of the next evaluation's variance."""
    solver, state = ancestral(), torch.randn(200_000, generator=torch.Generator().manual_seed(1))
    fresh = torch.randn(200_000, generator=torch.Generator().manual_seed(2))
    here, there = solver._signal[20], solver._signal[21]
    moved = solver.step(20, (1 - here) ** 0.5 * state, state, lambda: fresh)
    assert float(moved.var()) == pytest.approx(1 - there, rel=0.02)
    last = solver.step(49, state, state, lambda: fresh)
    assert torch.equal(last, ddim().step(49, state, state, lambda: fresh))  # the last step draws no noise


def test_the_comparison_is_written(tmp_path: Path) -> None:
    theirs = published()
    errors = twin_errors(ancestral(), 9, num_samples=2)
    assert errors.shape == (9, 50, 2) and (errors[0, 1:] > 0).all() and not errors[0, 0].any()
    write(tmp_path / "out", theirs, {"DDIM": theirs[:, :, None].repeat(3, 2), "ancestral": errors[:, ::-1]})
    report = (tmp_path / "out/report.md").read_text()
    assert "| 1 | 1.000 [1.000, 1.000] | " in report and "3 calibration samples" in report
    assert (tmp_path / "out/error_prior.png").stat().st_size > 10_000
    assert (tmp_path / "out/error_prior.csv").read_text().count("\n") == 51
