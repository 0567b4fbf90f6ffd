"""Methods that decide inside a forward, plan on the calibration batch or are fitted to it, in whole runs."""

import json
from pathlib import Path
from typing import Any

import pytest

from smoothbench.errors import UsageError
from smoothbench.running.experiment import Experiment
from smoothbench.sampling import plan_on_batch, point_batches
from tests.support.compose import experiment
from tests.support.runs import files, limited, read, small_policy

SMALL = ("metrics=[psnr]", "num_samples=4", "solver.steps=6", "batch_size=2", "calibration.num_samples=2")
DYNAMIC = (
    small_policy("input", "FirstInput", threshold=0.8),
    small_policy("check", "LastBlockChecks", "taylor1", threshold=0.2),
)
SQUARES = "{_target_:tests.support.small_policies.LeastSquares}"
PLANNED = (
    small_policy("recorded", "LargestChanges", count=2, level="span"),
    small_policy("rolled", "LeastDamage", count=3, level="denoiser"),
    "+cache@points.fitted.cache=fora",
    f"points.fitted.cache.predictor={SQUARES}",
)


def dynamic(folder: Path, *more: str) -> Experiment:
    return experiment(folder, *SMALL, *DYNAMIC, "only=[input,check]", *more)


def planned(folder: Path, *more: str) -> Experiment:
    return experiment(folder, *SMALL, *PLANNED, "only=[recorded,rolled,fitted]", *more)


def of(records: dict[str, Any]) -> dict[str, Any]:
    return {name: record for name, record in records.items() if not record["reference"]}


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dynamic")
    dynamic(folder).run()
    return folder


@pytest.fixture(scope="module")
def planned_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("planned")
    planned(folder).run()
    return folder


def test_the_cost_of_dynamic_methods_is_what_ran(decided: Path) -> None:
    records = of(read(decided))
    assert set(records) == {"input", "check"}
    for name, record in records.items():
        assert record["status"] == {"quality": "done", "cost": "done"} and record["schedule"] is None
        assert 0.15 < record["cost"]["share"] < 1 and not record["degenerate"]
        assert ("probe" in record["cost"]["by_kind"]) == (name == "input")
        assert sum(record["cost"]["by_kind"].values()) == record["cost"]["macs"]
    assert 0 < records["input"]["cost"]["by_kind"]["probe"] < 0.1 * records["input"]["cost"]["macs"]


def test_an_interrupted_run_of_dynamic_methods_goes_on(
    decided: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    """The first two batches are drawn, then the process is stopped: all in all nothing differs."""
    drawn: list[int] = []
    sample = point_batches._sample

    def stopped(*args: Any) -> Any:
        drawn.append(1)
        if len(drawn) == 4:  # of the reference both batches are done, of the next point one
            raise KeyboardInterrupt
        return sample(*args)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(point_batches, "_sample", stopped)
        dynamic(tmp_path).run()
    assert len(list(tmp_path.rglob("records/*.json"))) < 4
    dynamic(tmp_path).run()
    assert read(tmp_path) == read(decided) and files(tmp_path) == files(decided)


def test_a_dynamic_batch_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    running = limited(experiment(tmp_path, *SMALL, DYNAMIC[0], "only=[input]"), 2)
    with pytest.raises(Exception, match="1 of 2 points failed"):
        running.run()
    records = read(tmp_path)
    assert records["reference"]["status"]["quality"] == "done"
    assert "a batch of 2 does not fit: choose a smaller batch_size" in records["input"]["reason"]


def test_plans_on_the_calibration_batch_are_kept(
    planned_results: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = of(read(planned_results))
    assert {name: r["status"]["quality"] for name, r in records.items()} == dict.fromkeys(records, "done")
    rows = {name: "".join(bits[0] for bits in r["schedule"]["rows"]) for name, r in records.items()}
    assert rows["recorded"].count("1") == 3 and rows["rolled"].count("0") == 3 and rows["fitted"][0] == "1"
    spent = {name: r["schedule"]["meta"]["planning"] for name, r in records.items()}
    assert spent["recorded"]["runs"] == spent["fitted"]["runs"] == 1 and spent["rolled"]["rollouts"] == 5
    # a rollout goes on from the evaluation before the one that it skips
    assert spent["rolled"]["evaluations"] == (6 + 6 + 5 + 4 + 3 + 2) * 2
    uncached = 720345600 * 6 // 10 * 2
    assert spent["recorded"]["macs"] == uncached
    # the last may be skipped too
    assert spent["rolled"]["macs"] == uncached + (5 + 4 + 3 + 2 + 1) * uncached // 6
    for name, record in records.items():
        file = planned_results / "runs/smoke" / record["calibration"]["file"]
        assert (
            file.parent.name == "plans" and json.loads(file.read_text())["bits"] == record["schedule"]["rows"]
        )
        assert ("digest" in record["described"]["predictor"]) == (name == "fitted")
    monkeypatch.setattr(plan_on_batch, "plan_on_batch", None)  # nothing is planned again
    with caplog.at_level("INFO"):
        planned(planned_results).run()
    assert "4 points, all done before: nothing to run" in caplog.text


def test_planning_goes_on_and_repairs_what_was_damaged(planned_results: Path, tmp_path: Path) -> None:
    """Stopped while it rolls out, and with a plan cut short: the same command ends with the same."""
    running = planned(tmp_path)
    calls = iter(range(50))
    forward = running.bench.model.denoiser.forward

    def stopping(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == 20:
            raise KeyboardInterrupt
        return forward(*args, **kwargs)

    running.bench.model.denoiser.forward = stopping  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        running.run()
    plans = sorted(tmp_path.glob("runs/smoke/plans/*.json"))
    assert len(plans) in (1, 2)
    plans[0].write_text(plans[0].read_text()[:100])
    planned(tmp_path).run()
    assert read(tmp_path) == read(planned_results) and files(tmp_path) == files(planned_results)
    found = {path.name: path.read_bytes() for path in tmp_path.glob("runs/smoke/plans/*.json")}
    assert found == {p.name: p.read_bytes() for p in planned_results.glob("runs/smoke/plans/*.json")}


def test_planning_takes_smaller_batches_where_memory_does_not_suffice(
    planned_results: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    limited(planned(tmp_path), 2).run()
    records, expected = of(read(tmp_path)), of(read(planned_results))
    assert "planning on smaller batches" in caplog.text
    for name, record in records.items():
        assert record["schedule"]["rows"] == expected[name]["schedule"]["rows"]
        assert record["cost"]["batches_halved"] == 2
        # fitted weights depend on the order of sums
        assert (record["sample_id"] == expected[name]["sample_id"]) == (name != "fitted")


def test_a_method_that_finds_no_place_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    far = "+points.far.cache={policy:{_target_:tests.support.small_policies.FarProbe},predictor:reuse,family:f,label:l}"
    with pytest.raises(
        UsageError,
        match=r"nothing is drawn, as what was asked for cannot be: probe on the input of blocks\.99",
    ):
        experiment(tmp_path, *SMALL, far, "only=[far]").run()
    assert not list((tmp_path / "runs").glob("*/samples/*")), "of the reference alone"
    monkeypatch.setattr("smoothbench.running.experiment.launch_name", lambda: "a sweep")
    experiment(tmp_path, *SMALL, far, "only=[far]").run()  # whose other jobs share the reference
    assert read(tmp_path)["reference"]["status"]["quality"] == "done"
    record = read(tmp_path)["far"]
    assert record["status"]["quality"] == "skipped"
    assert record["reason"].startswith(
        "probe on the input of blocks.99.ff: DiTTransformer2DModel has no such site"
    )


def test_a_predictor_cannot_be_fitted_to_a_method_that_decides_at_run_time(tmp_path: Path) -> None:
    fitted = f"points.input.cache.predictor={SQUARES}"
    with pytest.raises(
        UsageError, match=r"nothing is drawn, as what was asked for cannot be: LeastSquares is fitted to"
    ):
        experiment(tmp_path, *SMALL, DYNAMIC[0], fitted, "only=[input]").run()
    record = read(tmp_path)["input"]
    assert record["status"]["quality"] == "skipped"
    assert record["reason"].startswith(
        "LeastSquares is fitted to a schedule, and FirstInput decides at run time"
    )
