"""The report: the same bytes twice, nothing hidden, nothing mixed, and the published copy says the same."""

import json
import logging
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from smoothbench.report import load, write
from smoothbench.report.data.frame import scores
from smoothbench.report.data.groups import comparable_groups
from smoothbench.report.document import document
from smoothbench.report.figures.contact_sheet import contact_sheet
from smoothbench.report.figures.pareto_front import front
from smoothbench.report.figures.pareto_plot import pareto
from smoothbench.report.figures.schedule_raster import schedules
from smoothbench.report.publish import publish
from smoothbench.report.tables.column import BETTER, DAGGER, WORSE
from smoothbench.report.tables.point_tables import numbers, ranks, report_table
from smoothbench.report.tables.text import to_markdown, to_text
from tests.support.report_folder import RENDERED, build, edit, made, plans, record, save


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("template") / "dit_ddim", range(len(plans())))


@pytest.fixture
def results(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "dit_ddim"))


@pytest.fixture
def small_results(tmp_path: Path) -> Path:
    """Five points, one of them failed, and one score: for what draws all pictures."""
    return build(tmp_path / "dit_ddim", (0, 6, 14, 18, 21), ("fd_nano@256",))


def text_of(folder: Path) -> str:
    frame = load(folder)
    return document([(part, []) for _, part in comparable_groups(frame)], frame.attrs["ignored"])


def cell(folder: Path, policy: str, column: str) -> str:
    table = report_table(load(folder))
    return str(table.loc[table["policy"].str.startswith(policy), column].iloc[0])


def test_frame_keeps_the_experiments_order_and_numbers(results: Path) -> None:
    frame = load(results)
    assert list(frame["label"]) == [label for label, *_ in plans()]
    assert frame["share"].iloc[0] == 1.0
    raw = json.loads((results / "latency.json").read_text())["points"]
    seconds = [raw[frame["cell_id"].iloc[i]]["seconds"] for i in (0, 6)]
    assert frame["speedup_measured"].iloc[6] == np.median(np.divide(*seconds))
    assert frame["speedup_macs"].iloc[6] == 1 / frame["share"].iloc[6]
    assert math.isnan(frame["psnr@256"].iloc[0])


def test_failed_points_are_reported_with_their_reason(results: Path) -> None:
    text = text_of(results)
    assert "L2C router (`l2c-router`): quality failed, cost failed - router file has 20 steps" in text
    assert "22 (21 done, 1 failed)" in text
    assert "router file has 20 steps" in numbers(load(results)).to_csv()


def test_marks_of_twins_and_of_policies_that_skip_nothing(results: Path) -> None:
    assert cell(results, "FORA N=1", "policy") == "FORA N=1 (skips nothing; = no cache, 50 steps)"
    assert cell(results, "no cache, 50 steps", "policy").endswith("(reference)")


def test_front_by_hand() -> None:
    assert front([1, 2, 3, 4], [4, 2, 3, 1], False).tolist() == [True, True, False, True]
    assert front([1, 2, 3, 4], [4, 2, 3, 5], True).tolist() == [True, False, False, True]
    assert front([0, 1, 1, 2], [0, 0, 5, 0], False).tolist() == [True, False, False, False]  # zeros count
    assert front([1, 1, 1], [2, 2, 3], False).tolist() == [True, True, False]  # full ties stay together
    assert front([1, math.nan, 2], [2, 0, math.nan], False).tolist() == [True, False, False]
    assert front([], [], False).tolist() == []
    with pytest.raises(ValueError, match="one length"):
        front([1, 2], [1], False)


@pytest.mark.parametrize("higher", [False, True])
def test_triangle_points_where_it_is_better(results: Path, higher: bool) -> None:
    for name, value, p in (("fora-n=2", 0.5, 0.001), ("fora-n=3", -0.5, 0.001), ("fora-n=4", 0.05, 0.9)):
        edit(results, name, scores={"made@256": made(value, p) | {"higher_is_better": higher}})
    cells = [cell(results, f"FORA N={n}", f"made@256 {chr(0x2191 if higher else 0x2193)}") for n in (2, 3, 4)]
    assert [BETTER in each for each in cells] == [higher, not higher, False]
    assert [WORSE in each for each in cells] == [not higher, higher, False]
    assert cells[0].startswith("2.00 \u00b1 0.20 (+0.50 \u00b1 0.10")


def test_best_and_second_are_marked_among_contenders(results: Path) -> None:
    frame = load(results)
    table, rank = report_table(frame), ranks(frame)
    column = next(title for title in table if title.startswith("psnr@256"))
    competing = frame[~frame["label"].isin(["no cache, 50 steps", "FORA N=1"])].dropna(subset="psnr@256")
    expected = competing.sort_values("psnr@256", ascending=False)["label"].iloc[:2].tolist()
    assert [table.loc[rank[column] == place, "policy"].item() for place in (1, 2)] == expected
    line = next(line for line in to_markdown(table, rank).splitlines() if expected[0] in line)
    assert f"**{table.loc[rank[column] == 1, column].item()}**" in line
    assert "<ins>" in to_markdown(table, rank)
    assert "*" not in to_text(table)


def test_flagged_scores_and_odd_labels(results: Path) -> None:
    record_ = record(6, 256, (0, 256))
    record_["scores"]["fd_nano@256"]["flag"] = "N is small against d"
    edit(results, "fora-n=2", scores=record_["scores"], label="a|b $x$ $y$")
    text = text_of(results)
    assert DAGGER in cell(results, "a|b", "fd_nano@256 \u2193")
    assert f"fd_nano@256{DAGGER}: N is small against d (a|b $x$ $y$)" in text
    assert "| a\\|b $x$ $y$ |" in text


@pytest.mark.slow
def test_sample_counts_seeds_and_devices_are_never_mixed(small_results: Path) -> None:
    others = [record(0, 1024, (0, 1024)), record(6, 1024, (0, 1024)), record(0, 256, (256, 512))]
    elsewhere = {"name": "elsewhere", "point_id": "0" * 12, "provenance": {"device": "another"}}
    for other in [*others, record(7, 256, (0, 256)) | elsewhere]:
        fewer = {name: each for name, each in other["scores"].items() if name.startswith("fd_nano")}
        save(small_results, other | {"scores": fewer})
    (small_results / "latency.json").unlink()
    frame = load(small_results)
    for function in (report_table, pareto):
        with pytest.raises(ValueError, match="num_samples 256, 1024"):
            function(frame)
    parts = list(comparable_groups(frame))
    assert [len(part) for _, part in parts] == [5, 2, 1, 1]
    assert len({suffix for suffix, _ in parts}) == 4 and parts[0][0] == ""
    assert not any("@1024" in score for score in scores(parts[0][1]))
    paths = write(small_results)
    tables = [path for path in paths if path.suffix == ".csv"]
    assert {path.name for path in tables} == {"table.csv"} | {f"{name}.csv" for name, _ in parts[1:]}
    assert sorted(len(path.read_text().splitlines()) - 1 for path in tables) == [1, 1, 2, 5]
    assert (small_results / "report.md").read_text().count("\n| policy | steps |") == 4


def test_broken_and_foreign_records_are_named_and_left(
    results: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (results / "records" / "torn.json").write_text('{"schema": 3, "na')
    (results / "records" / "foreign.json").write_text('{"schema": 99}')
    (results / "records" / "poor.json").write_text('{"schema": 3}')
    with caplog.at_level(logging.WARNING):
        frame = load(results)
    assert len(frame) == 22
    assert all(name in caplog.text for name in ("torn.json", "foreign.json", "poor.json"))
    assert len(list((results / "records").glob("*.json"))) == 25
    assert "foreign.json: its schema is 99" in text_of(results)


@pytest.mark.slow
def test_without_latency_previews_or_any_success(small_results: Path, tmp_path: Path) -> None:
    (small_results / "latency.json").unlink()
    assert not any("latency" in path.name for path in write(small_results))
    assert "Latency: not measured" in (small_results / "report.md").read_text()
    save(tmp_path / "failed", record(21, 256, (0, 256)))
    assert {path.name for path in write(tmp_path / "failed")} == {"report.md", "report.html", "table.csv"}
    assert "No point has finished yet" in (tmp_path / "failed" / "report.md").read_text()


def test_bad_latency_says_what_to_do(small_results: Path) -> None:
    path = small_results / "latency.json"
    latency = json.loads(path.read_text())
    latency["points"][record(6, 256, (0, 256))["cell_id"]]["seconds"].pop()
    bad = [(json.dumps(latency), "fora-n=2 has 4 rounds and the reference 5"), ("{", "cannot be read")]
    for text, message in [*bad, ('{"schema": 1}', "its schema is 1")]:
        path.write_text(text)
        with pytest.raises(ValueError, match=f"{message}.*measure latency again"):
            load(small_results)


def test_empty_pictures_say_what_to_do(tmp_path: Path) -> None:
    frame = load(build(tmp_path, [21]))
    for draw in (pareto, schedules, lambda frame: contact_sheet(frame, tmp_path)):
        with pytest.raises(ValueError, match="first"):
            draw(frame)


@pytest.mark.slow
def test_distinct_schedules_and_samples_are_drawn_once(results: Path) -> None:
    frame = load(results)
    drawn = [axes for axes in schedules(frame).axes if axes.collections]
    assert len(drawn) == 21 - 4  # TaylorSeer has FORA's schedules, FORA N=1 that of no cache
    assert "FORA N=2 = TaylorSeer N=2" in [axes.get_title("left") for axes in drawn]
    assert len(contact_sheet(frame, results / "previews").axes) == 20  # another predictor, other samples


@pytest.mark.parametrize(("size", "drawn"), [((28, 28), 84), ((256, 128), 104), ((4, 4), 104)])
def test_previews_keep_whole_pixels(results: Path, size: tuple[int, int], drawn: int) -> None:
    for path in (results / "previews").rglob("*.png"):
        Image.new("RGB", size, (200, 30, 30)).save(path)
    strip = contact_sheet(load(results), results / "previews").axes[0].images[0].get_array()
    assert strip is not None and strip.shape[1] == 8 * drawn + 7 * 5
    assert strip.shape[0] == round(drawn * size[1] / size[0])


@pytest.mark.slow
def test_published_copy_has_no_samples_and_says_the_same(small_results: Path, tmp_path: Path) -> None:
    target = tmp_path / "results" / "dit_ddim"
    write(small_results)
    (small_results / "records" / ".half.json.1.tmp").write_text("{")
    publish(small_results, target)
    assert not (target / "samples").exists() and not list(target.rglob("*.tmp"))
    for name in RENDERED:
        assert (small_results / name).read_bytes() == (target / name).read_bytes()
