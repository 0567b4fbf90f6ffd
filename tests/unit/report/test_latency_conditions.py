"""Latency under other conditions, in every form of the report."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from smoothbench.report import load, write
from smoothbench.report.page.html_page import page
from smoothbench.report.publish import publish
from smoothbench.report.tables import latency_conditions
from tests.support.html_document import parsed, text_of, walk
from tests.support.paper_table import ROWS, paper_record
from tests.support.report_folder import build, latency, save

UNSCORED: tuple[str, ...] = ()


def measure(folder: Path, dtype: str, mode: str, batch: int, factor: float, **changes: Any) -> Path:
    """A condition of the folder's points, all of whose times are so many times the usual ones."""
    records = [json.loads(path.read_text()) for path in sorted((folder / "records").glob("*.json"))]
    content = latency(records) | {"dtype": dtype, "mode": mode, "batch_size": batch, "device": "H200"}
    for point in content["points"].values():
        for key in ("seconds", "reference_seconds"):
            point[key] = [factor * value for value in point[key]]
        point |= {"median": factor * point["median"], "peak_bytes": 4_560_000_000}
    path = folder / "latency" / f"{dtype}-{mode}-{batch}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content | changes))
    return path


@pytest.fixture
def latency_results(tmp_path: Path) -> Path:
    """Four printed rows, costs alone, under three conditions."""
    for order, name in enumerate(ROWS):
        save(tmp_path / "runs", paper_record(order, name))
    for condition, factor in {("bfloat16", "eager", 8): 0.5, ("float32", "compiled", 8): 0.7}.items():
        measure(tmp_path / "runs", *condition, factor)
    measure(tmp_path / "runs", "float32", "eager", 32, 4)
    measure(tmp_path / "runs", "float32", "eager", 8, 1)
    return tmp_path / "runs"


def cells(text: str, heading: str, label: str) -> list[str]:
    """The cells of the first line with this label below a heading, without the label."""
    below = text.split(heading)[1].splitlines()
    line = next(line for line in below if line.startswith(f"| {label}"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


@pytest.mark.slow
def test_each_condition_has_a_table_of_its_own(latency_results: Path) -> None:
    write(latency_results)
    text = (latency_results / "report.md").read_text(encoding="utf-8")
    titles = [line.strip("*") for line in text.splitlines() if line.startswith("**") and "batch of" in line]
    batch = "batch of"
    eager = [f"float32, eager, {batch} 8", f"float32, eager, {batch} 32"]
    assert titles == [*eager, f"float32, compiled, {batch} 8", f"bfloat16, eager, {batch} 8"]
    assert text.count("### Latency under other conditions") == 1
    assert "- Measured: H200 (cpu, threads: 2), 5 interleaved rounds, decoding apart." in text
    point = {point["name"]: point for point in json.loads(condition(latency_results, 32))["points"].values()}
    found = cells(text, f"**{eager[1]}**", "alpha=0.18")
    assert found[0].startswith(f"{point['ddim50-alpha0.18']['median']:.3f}"[:4])
    # 50 / 24, and the paper's own
    assert found[2] == "2.08\u00d7" and found[4:] == ["0.83", "0.0410", "4.56"]


def condition(folder: Path, batch: int) -> str:
    return (folder / f"latency/float32-eager-{batch}.json").read_text()


def test_realised_is_measured_over_implied(latency_results: Path) -> None:
    content = json.loads(condition(latency_results, 8))
    for point in content["points"].values():
        point["reference_seconds"] = [4.0] * 5
        if point["name"] == "ddim50-alpha0.18":
            point |= {"seconds": [2.4] * 5}
    (latency_results / "latency/float32-eager-8.json").write_text(json.dumps(content))
    frame = load(latency_results)
    table = latency_conditions.read(latency_results).tables(frame)[0]
    assert table.cells["realised"][1] == f"{4.0 / 2.4 * 24 / 50:.2f}" == "0.80"
    assert table.cells["realised in the paper"] == ["1.00", "0.83", "0.73", "0.82"]
    assert any(note.startswith("The paper: ") for note in table.notes)


def test_csv_has_a_line_for_each_condition_and_point_at_full_precision(latency_results: Path) -> None:
    assert latency_results / "latency.csv" in write(latency_results)
    table = pd.read_csv(latency_results / "latency.csv", converters={"latency": float})
    assert len(table) == 4 * 4 and table[["dtype", "mode", "batch_size"]].drop_duplicates().shape[0] == 4
    assert set(table["device"]) == {"H200"} and set(table["threads"]) == {2} and set(table["rounds"]) == {5}
    points = json.loads(condition(latency_results, 32))["points"]
    rows = table[(table["batch_size"] == 32)].set_index("cell_id")
    assert rows["latency"].to_dict() == {key: point["median"] for key, point in points.items()}
    assert rows["latency.cache_bytes"].eq(40960).all() and rows["latency.peak_bytes"].eq(4.56e9).all()
    ratio = rows["speedup_measured"] / rows["speedup_macs_linear"]
    pd.testing.assert_series_equal(rows["realised"], ratio, check_names=False, rtol=1e-15)
    assert rows.set_index("name")["reported.realised"].round(2).tolist() == [1.0, 0.83, 0.73, 0.82]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("{", "Expecting property name"),
        ("[]", "its content is [], not an object"),
        ({"schema": 1}, "its schema is 1, this version reads 3"),
        ({"mode": 3}, "its mode is 3, not a text"),
        ({"batch_size": "8"}, 'its batch_size is "8", not a whole number'),
        ({"dtype": "float16"}, "it holds float16-eager-8"),
        ({"points": 3}, "its points is 3, not an object"),
        ({"seconds": [1.0]}, "its rounds do not pair with the reference's"),
        ({"median": "soon"}, 'median is "soon", not a number'),
    ],
)
def test_damaged_files_are_named_and_the_others_shown(latency_results: Path, damage: Any, says: str) -> None:
    path = latency_results / "latency/float32-eager-8.json"
    if isinstance(damage, dict):
        content = json.loads(path.read_text())
        of_point = bool({"seconds", "median"} & damage.keys())
        (next(iter(content["points"].values())) if of_point else content).update(damage)
        damage = json.dumps(content)
    path.write_text(damage)
    found = latency_conditions.read(latency_results)
    assert len(found.contents) == 3 and len(found.tables(load(latency_results))) == 3
    assert len(found.ignored) == 1 and found.ignored[0].startswith("latency/float32-eager-8.json: ")
    assert says in found.ignored[0] and "\n" not in found.ignored[0]


def test_a_damaged_file_is_listed_and_not_published(latency_results: Path, tmp_path: Path) -> None:
    (latency_results / "latency/float32-eager-8.json").write_text("{")
    write(latency_results)
    text = (latency_results / "report.md").read_text(encoding="utf-8")
    assert "### Latencies that could not be read\n\n- latency/float32-eager-8.json: " in text
    assert "Latencies that could not be read" in (latency_results / "report.html").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match=r"1 of its latencies cannot be read \(latency/float32-eager-8"):
        publish(latency_results, tmp_path / "results")


def test_the_page_has_the_same_tables(latency_results: Path) -> None:
    frame, found = load(latency_results), latency_conditions.read(latency_results)
    nodes = list(walk(parsed(page([(frame, {})], latency_results, [], found))))
    captions = [text_of(node) for node in nodes if node[0] == "caption"]
    assert captions[-4:] == [table.title for table in found.tables(frame)]
    texts = [text_of(node) for node in nodes if node[0] in ("td", "th", "h3", "li")]
    assert (
        latency_conditions.TITLE in texts
        and set(latency_conditions.NOTES) <= set(texts)
        and "2.08\u00d7" in texts
    )


@pytest.mark.slow
def test_published_with_what_they_measured(latency_results: Path, tmp_path: Path) -> None:
    target = tmp_path / "results"
    write(latency_results)
    publish(latency_results, target)
    names = sorted(path.name for path in (latency_results / "latency").iterdir())
    assert sorted(path.name for path in (target / "latency").iterdir()) == names and len(names) == 4
    for name in ("report.md", "latency.csv", "latency/float32-eager-8.json"):
        assert (target / name).read_bytes() == (latency_results / name).read_bytes()
    (latency_results / "latency/float32-eager-8.json").unlink()
    publish(latency_results, target)
    assert not (target / "latency/float32-eager-8.json").exists()


def test_points_that_were_not_measured_are_named(latency_results: Path) -> None:
    content = json.loads(condition(latency_results, 8))
    content["points"] = {key: point for key, point in content["points"].items() if "nocache" in point["name"]}
    (latency_results / "latency/float32-eager-8.json").write_text(json.dumps(content))
    table = latency_conditions.read(latency_results).tables(load(latency_results))[0]
    assert len(table.cells["policy"]) == 1
    assert table.notes[-1].startswith("Not measured: alpha=0.18, 50 steps, ")


def test_folders_without_conditions_say_nothing_of_them(tmp_path: Path) -> None:
    folder = build(tmp_path, (0, 6), UNSCORED)
    paths = write(folder)
    assert not (folder / "latency.csv").exists() and folder / "report.md" in paths
    for name in ("report.md", "report.html"):
        assert latency_conditions.TITLE not in (folder / name).read_text(encoding="utf-8")
    assert latency_conditions.read(folder) == latency_conditions.Conditions()
