"""A method that decides at run time, with a rule that is fitted on the calibration batch, in whole runs."""

import json
from pathlib import Path
from typing import Any

import pytest

from baselines.teacache import TeaCache
from smoothbench.errors import UsageError
from smoothbench.results import load
from smoothbench.running.experiment import Experiment
from smoothbench.sampling import plan_on_batch
from tests.support.compose import experiment
from tests.support.runs import files, read

SMALL = ("metrics=[psnr]", "num_samples=4", "solver.steps=8", "batch_size=2", "calibration.num_samples=2")
OTHER_GRID = "{_target_:baselines.polynomial.Polynomial,coefficients:[1.0,0.0],coordinates:[999.0,500.0,0.0]}"
PUBLISHED = "{_target_:baselines.polynomial.Polynomial,coefficients:[1.0,0.0]}"
POINTS = (
    *(f"+cache@points.{name}.cache=teacache" for name in ("low", "high", "budget", "other", "published")),
    "points.low.cache.policy.threshold=0.05",
    "points.high.cache.policy.threshold=0.5",
    "+points.budget.at=0.6",
    f"points.other.cache.policy.polynomial={OTHER_GRID}",
    f"points.published.cache.policy.polynomial={PUBLISHED}",
)
NAMES = "only=[low,high,budget,other,published]"


def fitted(folder: Path, *more: str) -> Experiment:
    return experiment(folder, *SMALL, *POINTS, NAMES, *more)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fitted")
    fitted(folder).run()
    return folder


def plans(folder: Path) -> list[Path]:
    return sorted(folder.glob("runs/smoke/plans/*.json"))


def test_a_rule_is_fitted_once_whatever_its_knob(results: Path) -> None:
    records = read(results)
    (plan,) = plans(results)
    content = json.loads(plan.read_text())
    assert content["planning"]["runs"] == 1 and len(content["numbers"]["coefficients"]) == 5
    parts = {name: records[name]["described"]["policy"] for name in ("low", "high", "budget")}
    for name, part in parts.items():
        assert records[name]["status"]["quality"] == "done" and records[name]["schedule"] is None
        assert records[name]["calibration"]["file"] == f"plans/{plan.name}"
        assert "polynomial" not in part["parameters"] and len(part["digest"]) == 64
    assert len({part["digest"] for part in parts.values()}) == 1
    assert records["published"]["calibration"] is None
    assert records["published"]["described"]["policy"]["digest"] != parts["low"]["digest"]
    assert records["budget"]["budget"]["realised"] < 0.7 and records["low"]["cost"]["share"] < 1


def test_a_polynomial_of_other_timesteps_is_refused(results: Path) -> None:
    record = read(results)["other"]
    assert record["status"]["quality"] == "skipped"
    start = "the polynomial is for timesteps 999 to 0 in 3 evaluations, and the run's are 999 to 0 in 8 evaluations"
    assert record["reason"] == start


def test_a_recorded_method_is_rebuilt_with_its_numbers(results: Path, tmp_path: Path) -> None:
    folder = results / "runs/smoke"
    numbers = json.loads(plans(results)[0].read_text())["numbers"]
    for name, threshold in (("low", 0.05), ("high", 0.5)):
        policy = load(folder).point(name).policy
        assert isinstance(policy, TeaCache) and policy.threshold == threshold
        assert policy.polynomial is not None
        assert list(policy.polynomial.coefficients) == numbers["coefficients"]
    text = plans(results)[0].read_text()
    try:
        plans(results)[0].write_text(text[:100])
        with pytest.raises(UsageError, match="is not in this copy of the results, or damaged: run it again"):
            _ = load(folder).point("low").policy
    finally:
        plans(results)[0].write_text(text)


def test_what_was_fitted_is_kept_and_made_again_where_it_is_damaged(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patch, caplog.at_level("INFO"):
        patch.setattr(plan_on_batch, "plan_on_batch", None)  # nothing is fitted again
        fitted(results).run()
    assert "6 points, all done before: nothing to run" in caplog.text
    text = plans(results)[0].read_text()
    damaged: Any = json.loads(text)
    damaged["numbers"]["coefficients"] = "none"
    plans(results)[0].write_text(json.dumps(damaged))
    before = read(results), files(results)
    fitted(results).run()
    assert plans(results)[0].read_text() == text and (read(results), files(results)) == before
