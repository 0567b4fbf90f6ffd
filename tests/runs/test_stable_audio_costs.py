"""The paper's audio experiment without weights: its costs, and what is skipped."""

import csv

import pytest

from smoothbench.config.expand import settings as planned
from smoothbench.report import load, write
from smoothbench.running.experiment import Experiment
from smoothbench.storage.record_parts import Status
from tests.support.compose import composed


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """The paper's experiment without weights: it ends without an error."""
    where = [f"results_dir={tmp_path_factory.mktemp('paper')}", "model.path=nobody/nothing", "device=cpu"]
    cfg = composed("+exp=paper/stable_audio_dpmpp3m", "stage=cost", "metrics=[psnr]", *where)
    experiment = Experiment(planned(cfg))
    experiment.run()
    return experiment


def test_smoothcache_s_table_3_without_weights(paper: Experiment) -> None:
    records = {record.name: record for record in paper.store.records()}
    reference = records["reference"]
    assert reference.cost.paper.tmacs == pytest.approx(209.749, abs=1e-3)
    printed = reference.reported.values["tmacs"].value
    assert printed == 209.82 and reference.cost.paper.tmacs == pytest.approx(printed, rel=5e-4)
    with (paper.store.folder / "cost.csv").open() as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    first = rows["reference"]
    assert (first["tmacs_reported"], first["paper_rows"], first["paper_scope"]) == ("209.82", "2", "denoiser")
    assert float(first["tmacs_paper_convention"]) == pytest.approx(209.75, abs=0.005)
    assert len(rows) == len(records) - 2 and not {"alpha15", "alpha30"} & rows.keys()


def test_what_nobody_published_is_skipped_and_says_why(paper: Experiment) -> None:
    records = {record.name: record for record in paper.store.records()}
    for name, printed in (("alpha15", 170.75), ("alpha30", 136.16)):
        record = records[name]
        assert record.status == Status("skipped", "skipped") and record.cost is None
        assert record.reason.startswith("stage=cost: it is planned on error curves, and weights of")
        assert record.reported.values["tmacs"].value == printed
    write(paper.store.folder)
    text = (paper.store.folder / "report.md").read_text()
    assert "7 costs alone, 2 skipped" in text and "N = 4875" not in text and "| 209.82 | 209.749 |" in text
    assert "| SmoothCache alpha=0.15 | 100 | 170.75 | - | - | - | - | - |" in text
    assert "SmoothCache alpha=0.15 (`alpha15`): quality skipped, cost skipped - stage=cost: it is" in text


def test_costs_are_skipped_again_and_not_taken_for_done(paper: Experiment) -> None:
    Experiment(paper.settings).run()
    assert (load(paper.store.folder)["status.cost"] == "skipped").sum() == 2
