"""The papers' own experiments, as far as they go without weights: every printed count of MACs comes out."""

import csv
import json
from pathlib import Path
from shutil import copytree

import pytest

from smoothbench.config.expand import settings
from smoothbench.report import summary, write
from smoothbench.running.experiment import Experiment
from smoothbench.storage.record import Record
from tests.support.compose import composed


def costs(folder: Path, name: str, *overrides: str) -> Experiment:
    experiment = Experiment(
        settings(composed(f"+exp=paper/{name}", "stage=cost", f"results_dir={folder}", *overrides))
    )
    experiment.run()
    return experiment


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    return costs(tmp_path_factory.mktemp("paper"), "dit_ddim")


def by_name(experiment: Experiment) -> dict[str, Record]:
    return {record.name: record for record in experiment.store.records()}


def test_all_15_rows_of_smoothcache_s_table_1(table: Experiment) -> None:
    records = by_name(table)
    assert len(records) == 15 and {r.reported.row for r in records.values()} == {
        r.reported.row for r in records.values() if r.status.cost == "done"
    }
    for record in records.values():
        printed = record.reported.values["tmacs"]
        tolerance = 0.02 + 0.5 * 10**-printed.decimals
        assert record.cost.paper.tmacs == pytest.approx(printed.value, abs=tolerance), record.name
        remainder = record.cost.paper.tmacs - record.cost.paper.tmacs_explained
        assert remainder == pytest.approx(record.solver.steps * 0.00611)


def test_what_each_row_rests_on(table: Experiment) -> None:
    planned = {name: record.planned for name, record in by_name(table).items()}
    masks = {"s50_l2c", "s50_alpha08", "s50_alpha18", "s30_alpha35", "s70_alpha08"}
    counts = {"s50_alpha22", "s70_alpha12"}
    assert {name for name, what in planned.items() if what == "published mask"} == masks
    assert {name for name, what in planned.items() if what == "published count"} == counts
    inferred = {name for name, record in by_name(table).items() if record.reported.inferred}
    assert inferred == counts
    assert not [
        record.same_as for record in by_name(table).values() if record.name in counts and record.same_as
    ]


def test_the_cost_table(table: Experiment) -> None:
    with (table.store.folder / "cost.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 15
    first = rows[0]
    assert first["steps"] == "50" and float(first["tmacs_reported"]) == 365.59
    assert float(first["tmacs_paper_convention"]) == pytest.approx(365.592, abs=5e-4)
    assert (first["paper_scope"], first["paper_rows"]) == ("branches", "64")
    # models.md: 114.439 G linear and 118.667 G in all for a row, of which a guided sample has two
    assert int(first["macs_linear"]) == pytest.approx(100 * 114.439e9, rel=1e-5)
    assert int(first["macs"]) == pytest.approx(100 * 118.667e9, rel=1e-5)


def test_no_weights_are_loaded_for_costs(table: Experiment) -> None:
    assert table.bench.model.unavailable_reason and "denoiser" not in vars(table.bench.model)


def test_the_report_shows_both(table: Experiment) -> None:
    write(table.store.folder)
    text = summary(table.store.folder)
    assert "365.59" in text and "365.592" in text and max(map(len, text.splitlines())) <= 120


@pytest.fixture(scope="module")
def uvit_table(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """The U-ViT's costs as its experiment's file has them: rows=1."""
    return costs(tmp_path_factory.mktemp("paper"), "uvit_dpm")


def test_uvit_has_two_forwards_an_evaluation(uvit_table: Experiment) -> None:
    records = by_name(uvit_table)
    reference = next(record for record in records.values() if record.reference)
    assert reference.cost.paper.tmacs == pytest.approx(6.44, abs=0.025)
    assert reference.cost.macs == pytest.approx(100 * 133.197e9, rel=1e-5)


@pytest.mark.parametrize("planned", ["calibrated", 5, "published mask"])
def test_a_schedule_s_word_of_what_it_rests_on(planned: object, tmp_path: Path) -> None:
    plan = {"_meta": {"planned": planned}, "attn": [1, 0, 1, 0], "mlp": [1, 0, 1, 0]}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    file = f"cache.policy.path={tmp_path / 'plan.json'}"
    overrides = ["cache=schedule", file, "solver.steps=4", "stage=cost", "latency.rounds=0"]
    Experiment(settings(composed(*overrides, f"results_dir={tmp_path}"))).run()
    records = [json.loads(path.read_text()) for path in tmp_path.rglob("records/*.json")]
    assert {record["planned"] for record in records} == {None, "published mask"} - (
        set() if planned == "published mask" else {"published mask"}
    )
    assert len(records) == 2


def test_another_convention_of_a_paper_is_counted_anew(uvit_table: Experiment, tmp_path: Path) -> None:
    copytree(uvit_table.store.folder, tmp_path / "runs/paper/uvit_dpm")
    one, many = (
        {name: record.cost.paper.tmacs for name, record in by_name(table).items()}
        for table in (uvit_table, costs(tmp_path, "uvit_dpm", "paper.rows=64"))
    )
    assert one.keys() == many.keys()
    assert all(many[name] == pytest.approx(64 * one[name]) for name in one)
