"""A method or predictor that cannot be used here says so: its point is skipped with that reason, and never fails."""

import json
from pathlib import Path
from typing import Any

import pytest

from smoothbench.errors import PointsFailed, UsageError
from smoothbench.report import write
from smoothbench.report.data.frame import load
from tests.support import user_plugins
from tests.support.compose import experiment
from tests.support.runs import read

PREDICTOR = user_plugins.PREDICTOR + '    supports = lambda self, trajectory, model: "only for one site"\n'
REASON = "needs a video model: dit_nano has 12 sites"


def records_of(folder: Path, name: str) -> list[dict[str, Any]]:
    """All records of one point."""
    records = [json.loads(path.read_text()) for path in folder.glob("runs/smoke/records/*.json")]
    return [record for record in records if record["name"] == name]


def picky(folder: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> tuple[str, ...]:
    """The overrides of an experiment whose point `new` has a user's method that is not for images."""
    user_plugins.write(folder, monkeypatch, mine=user_plugins.PICKY, last=PREDICTOR)
    (folder / "cache").mkdir(exist_ok=True)
    (folder / "cache/picky.yaml").write_text(
        "policy: {_target_: users.mine.Picky, interval: 2, orientation: repository}\n"
        "predictor: reuse\nfamily: picky\nlabel: picky\n"
    )
    return (
        f"hydra.searchpath=[file://{folder}]",
        "+cache@points.new.cache=picky",
        "metrics=[psnr]",
        "num_samples=2",
        "solver.steps=4",
        *more,
    )


@pytest.mark.parametrize("stage", ["all", "cost"])
def test_a_method_that_is_not_for_the_model_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, stage: str
) -> None:
    asked = picky(tmp_path, monkeypatch, "only=[new,fora]", f"stage={stage}")
    experiment(tmp_path, *asked).run()
    record = read(tmp_path)["new"]
    assert record["status"] == {"quality": "skipped", "cost": "skipped"} and record["reason"] == REASON
    assert record["cost"] is record["schedule"] is None and not record["scores"]
    assert f"new skipped: {REASON}" in caplog.text
    write(tmp_path / "runs/smoke")
    report = (tmp_path / "runs/smoke/report.md").read_text().splitlines()
    assert any("picky" in line and REASON in line for line in report)
    assert set(load(tmp_path / "runs/smoke")["status"]) == {
        "skipped",
        "done" if stage == "all" else "skipped",
    }
    caplog.clear()
    with caplog.at_level("INFO"):
        experiment(tmp_path, *asked).run()
    assert "3 points, all done before: nothing to run" in caplog.text
    experiment(tmp_path, *asked, "+points.new.cache.policy.reason=null").run()
    assert [each["reason"] for each in records_of(tmp_path, "new")] == [
        None if stage == "all" else "stage=cost"
    ]


def test_a_predictor_says_so_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = picky(tmp_path, monkeypatch, "only=[new]", "stage=cost", "+points.new.cache.policy.reason=null")
    planned = experiment(tmp_path / "runs-alone", *asked).bench.points[1]
    assert planned.unsupported is None and planned.policy is not None
    point = experiment(
        tmp_path, *asked, "points.new.cache.predictor={_target_:users.last.Last}"
    ).bench.points[1]
    assert point.unsupported == "only for one site" and point.policy is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("+points.new.cache.policy.reason=''", r"Picky.supports gives .*: None, or in one line why not"),
        ("only=[new]", r"reference: needs a video model"),
    ],
)
def test_what_cannot_be_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, message: str
) -> None:
    asked = picky(tmp_path, monkeypatch, "stage=cost", change)
    if not change.startswith("+"):
        asked += ("cache@reference.cache=picky",)
    with pytest.raises(UsageError, match=message):
        experiment(tmp_path, *asked)
    assert not list(tmp_path.rglob("records"))


def test_a_mistake_in_supports_fails_its_point_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = user_plugins.PICKY.replace("return self.reason and", 'raise KeyError("boom")\n        return')
    monkeypatch.setattr(user_plugins, "PICKY", broken)
    asked = picky(tmp_path, monkeypatch, "only=[new,fora]")
    running = experiment(tmp_path, *asked)
    with pytest.raises(PointsFailed, match="new"):
        running.run()
    records = read(tmp_path)
    assert records["new"]["reason"] == "KeyError: 'boom'"
    assert any(
        name.startswith("fora") and each["status"]["quality"] == "done" for name, each in records.items()
    )
