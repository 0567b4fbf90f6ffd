"""Points with a budget: the setting of the method's knob is searched for, kept, and shown with what it costs."""

import json
from pathlib import Path
from typing import Any

import pytest

from smoothbench.report.data.frame import load
from smoothbench.report.document import document
from smoothbench.running.experiment import Experiment
from smoothbench.sampling import plan_on_batch, search_on_batch
from tests.support.compose import experiment
from tests.support.runs import read, small_policy

SMALL = ("metrics=[psnr]", "num_samples=4", "solver.steps=8", "batch_size=2", "calibration.num_samples=2")
POINTS = (
    small_policy("input", "FirstInput", threshold=7, level="span"),
    small_policy("recorded", "LargestChanges", count=7, level="span"),
    small_policy("rolled", "LeastDamage", count=7, level="span"),
    "+cache@points.low.cache=fora",
    "+cache@points.bare.cache=none",
    "+cache@points.same.cache=fora",
    "points.same.cache.policy.interval=3",
    "+points.smoothcache.at=0.8",
)
AT = {"input": 0.5, "recorded": 0.5, "rolled": 0.5, "low": 0.05, "bare": 0.5}
NAMES = "only=[fora,same,smoothcache,input,recorded,rolled,low,bare]"
SWEEPS = {"fora": {"at": [0.9, 0.52]}, "smoothcache": {"cache.policy.k_max": [2]}}


def budgeted(folder: Path) -> Experiment:
    shares = [f"+points.{name}.at={at}" for name, at in AT.items()]
    return experiment(folder, *SMALL, *POINTS, *shares, NAMES, sweeps=SWEEPS)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("budgets")
    budgeted(folder).run()
    return folder


@pytest.fixture
def records(results: Path) -> dict[str, Any]:
    return read(results)


def test_a_static_method_takes_the_dearest_setting_within_its_budget(records: dict[str, Any]) -> None:
    dear, cheap = records["fora-at=0.9"], records["fora-at=0.52"]
    assert (dear["budget"]["setting"], cheap["budget"]["setting"]) == (2, 3)
    assert cheap["label"] == "FORA N=3, repository" and cheap["config"]["cache"]["interval"] == 3
    for record in (dear, cheap, records["smoothcache-k_max=2"]):
        budget = record["budget"]
        assert budget["expected"] == budget["realised"] == record["cost"]["share"] <= budget["at"]
        assert "search" not in budget
    assert records["smoothcache-k_max=2"]["budget"]["knob"] == "alpha"
    same = records["same"]
    assert same["sample_id"] == cheap["sample_id"] and same["same_as"] == "fora-at=0.52"
    assert same["point_id"] != cheap["point_id"] and same["cell_id"] != cheap["cell_id"]
    assert "budget" not in same


def test_a_planner_is_searched_by_its_plans_or_by_the_cost_that_it_knows(records: dict[str, Any]) -> None:
    recorded, rolled = records["recorded"], records["rolled"]
    for record, setting in ((recorded, 2), (rolled, 5)):
        assert record["budget"]["setting"] == setting
        assert record["budget"]["expected"] == record["budget"]["realised"] == record["cost"]["share"] <= 0.5
        assert record["calibration"]["file"].startswith("plans/")
    # all candidate plans are made on one recorded run
    assert recorded["budget"]["search"] | {"macs": 0} == {
        "runs": 1,
        "rollouts": 0,
        "evaluations": 16,
        "macs": 0,
    }
    assert "search" not in rolled["budget"]


def test_a_dynamic_method_is_set_on_runs_of_the_calibration_batch(
    results: Path, records: dict[str, Any]
) -> None:
    record = records["input"]
    budget = record["budget"]
    assert budget["expected"] <= budget["at"] == 0.5 and 0 < budget["setting"] < 100
    assert budget["realised"] == record["cost"]["share"] and abs(budget["realised"] - 0.5) < 0.15
    spent = budget["search"]
    assert 2 < spent["runs"] == spent["rollouts"] < 20 and spent["evaluations"] == spent["runs"] * 8 * 2
    assert record["described"]["policy"]["parameters"]["threshold"] == budget["setting"]
    kept = json.loads((results / "runs/smoke" / record["calibration"]["file"]).read_text())
    assert kept == {"setting": budget["setting"], "share": budget["expected"], "spent": spent}


def test_what_cannot_be_set_is_skipped_with_its_reason(records: dict[str, Any]) -> None:
    for name in ("low", "bare"):
        assert records[name]["status"] == {"quality": "skipped", "cost": "skipped"}
        assert records[name]["budget"] == {"at": AT[name]}
    assert records["low"]["reason"] == "no interval costs at most 0.0500 of the MACs: the least is 0.2654"
    assert records["bare"]["reason"] == (
        "NoCache has no knob, a parameter that sets its cost, so that it cannot be set to at=0.5: "
        "choose a method that has one, cache=fora for instance"
    )


def test_the_report_shows_budgets_and_how_far_points_ended_from_them(results: Path) -> None:
    text = document([(load(results / "runs/smoke"), ())], [])
    assert "| MACs (%) | budget (%) |" in text and "`budget (%)`: the share of the uncached MACs" in text
    brief = text.partition("<details>")[0]
    cells = [
        [cell.strip() for cell in line.split("|")] for line in brief.splitlines() if line.startswith("|")
    ]
    budgets = {row[1]: row[3] for row in cells}
    assert budgets["FORA N=2, repository"] == "90.0 (-26.7 off)"
    assert budgets["FORA N=3, repository (at 0.52)"].startswith("52.0 (-")
    assert "off" not in budgets["FORA N=3, repository (at 0.52)"]
    assert budgets["no cache, 8 steps (reference)"] == "-"


def test_a_second_run_searches_nothing_again(
    results: Path, records: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patch, caplog.at_level("INFO"):
        patch.setattr(search_on_batch, "search_on_batch", None)
        patch.setattr(plan_on_batch, "plan_on_batch", None)
        budgeted(results).run()
    assert "all done before: nothing to run" in caplog.text and read(results) == records
    file = results / "runs/smoke" / records["input"]["calibration"]["file"]
    whole = file.read_bytes()
    file.write_bytes(whole[:20])  # damaged: searched again, with the same result
    budgeted(results).run()
    assert file.read_bytes() == whole and read(results) == records
