"""Cached points beside no cache with fewer steps: which rival, which sign, and what the triangle stands for."""

import json
from pathlib import Path

import pandas as pd
import pytest

from metrics.inference import paired_difference
from metrics.score import Score
from smoothbench.report import load
from smoothbench.report.studies.against_fewer_steps import section
from smoothbench.report.tables.column import BETTER, WORSE
from smoothbench.report.tables.text import NONE
from smoothbench.report.tables.two_points import compare, influences
from tests.support.report_folder import build, edit, plans


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("results"), range(len(plans())))


def table(folder: Path) -> dict[str, dict[str, str]]:
    """The cells of the section's table, by label and column."""
    return table_of(load(folder))


def table_of(frame: pd.DataFrame) -> dict[str, dict[str, str]]:
    lines = [line for line in section(frame).lines[2].splitlines() if line.startswith("|")]
    heading, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: dict(zip(heading, row, strict=True)) for row in rows}


def test_a_point_is_compared_with_fewer_steps_at_its_cost(results: Path) -> None:
    cells = table(results)
    frame = load(results).set_index("label")
    assert "FORA N=1" not in cells and not any(label.startswith("no cache") for label in cells)
    won = cells["SmoothCache a=0.5"]["psnr@256, ddim"]
    assert won.endswith(f"(18) {BETTER}")  # the cheapest that costs no less
    assert frame.loc["no cache, 18 steps", "share"] >= frame.loc["SmoothCache a=0.5", "share"]
    lines = compare(results, "smoothcache-a=0.5", "no-cache,-18-steps").splitlines()
    difference = next(line for line in lines if "psnr@256" in line).split()[1]
    assert float(won.split()[0]) == pytest.approx(float(difference), abs=0.01)
    lost = cells["FORA N=3"]["psnr@256, ddim"]  # further than a dearer one: that is what its cost explains
    assert lost.startswith("-") and lost.endswith("(26)")


def test_a_dearer_point_that_is_nearer_to_the_uncached_samples_is_not_better(results: Path) -> None:
    frame = load(results).set_index("label")
    dearest = "SmoothCache a=0.04"
    assert frame.loc[dearest, "share"] > frame.loc["no cache, 40 steps", "share"]
    cell = table(results)[dearest]["psnr@256, ddim"]
    assert cell.startswith("+") and "(40)" in cell and BETTER not in cell


def test_a_cheaper_point_that_is_further_is_not_worse(tmp_path: Path) -> None:
    labels = [label for label, *_ in plans()]
    folder = build(tmp_path, [0, labels.index("no cache, 40 steps"), labels.index("FORA N=5")])
    assert not any(WORSE in cell for row in table(folder).values() for cell in row.values())


def test_triangles_are_holms(tmp_path: Path) -> None:
    """Alone, each difference would be found (p = 0.03); corrected over three, none is."""
    labels, rival = [label for label, *_ in plans()], "no cache, 18 steps"
    points = ["FORA N=2", "FORA N=3", "FORA mirrored N=3"]
    folder = build(tmp_path, [0, *(labels.index(label) for label in (rival, *points))])
    frame = load(folder)
    rows = frame.set_index("label")
    for label in points:
        a, b = (
            Score(float(rows.loc[one, "psnr@256"]), influences(folder, rows.loc[one])["psnr@256"])
            for one in (label, rival)
        )
        frame.loc[frame["label"] == label, "psnr@256"] = b.value - 2.2 * paired_difference(a, b).se
    alone = frame[~frame["label"].isin(points[1:])]
    assert WORSE in table_of(alone)["FORA N=2"]["psnr@256, ddim"]
    assert not any(WORSE in table_of(frame)[label]["psnr@256, ddim"] for label in points)


def test_a_rival_of_the_same_cost_costs_no_less(tmp_path: Path) -> None:
    labels = [label for label, *_ in plans()]
    folder = build(tmp_path, [0, labels.index("no cache, 18 steps"), labels.index("FORA N=3")])
    share = load(folder).set_index("label").loc["no cache, 18 steps", "share"]
    path = next((folder / "records").glob("fora-n=3-*.json"))
    edit(folder, "fora-n=3", cost=json.loads(path.read_text())["cost"] | {"share": share})
    assert table(folder)["FORA N=3"]["psnr@256, ddim"].endswith(f"(18) {BETTER}")


def test_scores_of_another_metric_are_not_compared(tmp_path: Path) -> None:
    labels = [label for label, *_ in plans()]
    folder = build(tmp_path, [0, labels.index("no cache, 18 steps"), labels.index("FORA N=3")])
    assert table(folder)["FORA N=3"]["psnr@256, ddim"] != NONE
    path = next(path for path in (folder / "records").glob("*.json") if "fora" in path.name)
    path.write_text(path.read_text().replace('"config_hash": "', '"config_hash": "other'))
    assert (
        set(table(folder)["FORA N=3"].values()) >= {NONE}
        and table(folder)["FORA N=3"]["psnr@256, ddim"] == NONE
    )


def test_without_fewer_steps_there_is_no_section(tmp_path: Path) -> None:
    labels = [label for label, *_ in plans()]
    assert not section(load(build(tmp_path, [0, labels.index("FORA N=2")]))).lines
