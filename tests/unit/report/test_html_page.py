"""report.html: one file, nothing from outside, nothing that a label can break, and a script that runs."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from smoothbench.report import load
from smoothbench.report.data.groups import comparable_groups
from smoothbench.report.figures.panel import panel_of
from smoothbench.report.figures.pareto_front import front
from smoothbench.report.figures.style import family_styles
from smoothbench.report.page.html_page import page
from tests.support.html_document import data_of, parsed, run, text_of, walk
from tests.support.study_folder import add, calibration, curves_of, fixed, smoothcache

NASTY = "</script><b>\"&'<!--"
FAILED = {"status": {"quality": "failed", "cost": "failed"}, "cost": None, "scores": {}}


@pytest.fixture
def results_with_previews(tmp_path: Path) -> Path:
    """Five points with previews; two share their samples, one has a label of the worst kind, one failed."""
    folder = tmp_path / "dit_ddim"
    curves = curves_of(8)
    stated = calibration(folder, curves)
    add(folder, "no cache", fixed(12), order=0, sample_id="a")
    add(folder, "fewer", fixed(6), 0.4, order=1, family="no cache", full_evals=12, sample_id="b")
    add(folder, "nasty", fixed(12, 2), 0.3, order=2, sample_id="c", label=NASTY, family=NASTY)
    add(folder, "alpha", smoothcache(curves, 0.2), 0.2, order=3, sample_id="d", calibration=stated)
    add(
        folder,
        "same",
        smoothcache(curves, 0.2),
        0.2,
        order=4,
        sample_id="d",
        calibration=stated,
        same_as="alpha",
    )
    add(folder, "broken", fixed(12, 3), 0.5, order=5, sample_id="e", **FAILED, reason=f"no such {NASTY}")
    for path in (folder / "records").glob("*.json"):
        record = json.loads(path.read_text())
        path.write_text(json.dumps(record | {"reference_id": "a"}))
    rng = np.random.default_rng(0)
    for sample_id in "abcd":
        previews = folder / "previews" / sample_id
        previews.mkdir(parents=True)
        for seed in range(8):
            pixels = rng.integers(0, 255, (28, 28), dtype=np.uint8)
            Image.fromarray(pixels).save(previews / f"{seed:09d}.png")
    return folder


def report(folder: Path, pictures: dict[str, str] | None = None) -> str:
    parts = [(part, pictures or {}) for _, part in comparable_groups(load(folder))]
    return page(parts, folder, [f"records/{NASTY}.json: torn"])


def test_one_file_whose_tags_balance_and_that_loads_nothing(results_with_previews: Path) -> None:
    Image.new("RGB", (40, 20), "red").save(results_with_previews / "composition.png")
    text = report(
        results_with_previews,
        {"composition": "composition.png", "schedules": "schedules.png", "gone": "gone.png"},
    )
    root = parsed(text)
    sources = [value for node in walk(root) for key, value in node[1].items() if key in ("src", "href")]
    assert sources and all(source.startswith(("data:image/", "#")) for source in sources)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|url\(", text)
    assert "default-src 'none'" in text
    ids = [node[1]["id"] for node in walk(root) if "id" in node[1]]
    assert len(ids) == len(set(ids))
    assert all(node[1].get("alt") for node in walk(root) if node[0] == "img")
    assert sum(node[1].get("alt") == "Computed MACs by kind of layer." for node in walk(root)) == 1


def test_labels_stay_text(results_with_previews: Path) -> None:
    text = report(results_with_previews)
    root = parsed(text)
    assert text.count("<script") == text.count("</script>") == 2 and "<b>" not in text
    data = next(node for node in walk(root) if node[1].get("id") == "data")
    assert "<" not in text_of(data)
    assert NASTY in [point["label"] for point in data_of(root)[0]["points"]]
    assert any(node[0] == "th" and text_of(node) == NASTY for node in walk(root))
    assert f"broken: failed - no such {NASTY}" in [text_of(node) for node in walk(root) if node[0] == "li"]
    assert f"records/{NASTY}.json: torn" in [text_of(node) for node in walk(root) if node[0] == "li"]


def test_same_records_same_bytes_whatever_order_files_come_in(results_with_previews: Path) -> None:
    first = report(results_with_previews)
    copy = results_with_previews.parent / "copy"
    for path in sorted(results_with_previews.rglob("*"), reverse=True):
        if path.is_file():
            target = copy / path.relative_to(results_with_previews)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    assert report(copy) == first


def test_pictures_are_embedded_once_and_shared(results_with_previews: Path) -> None:
    root = parsed(report(results_with_previews))
    strips = [node for node in walk(root) if node[1].get("class") == "strip"]
    rasters = [node for node in walk(root) if node[1].get("class") == "raster"]
    assert [len(strips), len(rasters)] == [4, 5]  # the point that failed has a schedule and no samples
    points = data_of(root)[0]["points"]
    ids = {node[1]["id"] for node in (*strips, *rasters)}
    assert len(points) == 5 and all({point["strip"], point["raster"]} <= ids for point in points)
    assert points[3]["strip"] == points[4]["strip"] != points[2]["strip"]


@pytest.mark.slow
def test_twenty_five_points_stay_under_two_megabytes(results_with_previews: Path) -> None:
    rng = np.random.default_rng(1)
    for i in range(25):
        add(
            results_with_previews,
            f"p{i}",
            fixed(12, 1 + i % 5),
            0.1 + i / 50,
            order=9 + i,
            sample_id=f"p{i}",
            reference_id="a",
        )
        (results_with_previews / "previews" / f"p{i}").mkdir()
        for seed in range(8):
            pixels = rng.integers(0, 255, (256, 256, 3), dtype=np.uint8)  # incompressible, and large
            Image.fromarray(pixels).save(
                results_with_previews / "previews" / f"p{i}" / f"{seed:09d}.png", compress_level=1
            )
    assert 200_000 < len(report(results_with_previews)) < 2_000_000


def test_the_table_stands_without_scripts(results_with_previews: Path) -> None:
    frame, root = load(results_with_previews), parsed(report(results_with_previews))
    table = next(node for node in walk(root) if node[1].get("class") == "sortable")
    rows = [node for node in walk(table) if node[0] == "tr" and "id" in node[1]]
    assert len(rows) == 5
    cells = [node for node in walk(rows[3]) if node[0] == "td"]
    titles = [text_of(node) for node in walk(table) if node[0] == "th" and node[1].get("scope") == "col"]
    psnr = cells[next(i for i, title in enumerate(titles[1:]) if title.startswith("psnr"))]
    assert float(psnr[1]["data-number"]) == frame["psnr@64"].iloc[3] and text_of(psnr) == "29.20 \u00b1 0.30"
    best = {text_of(node) for node in walk(table) if node[0] == "strong"}
    assert "29.20 \u00b1 0.30" in best


def test_script_draws_the_front_and_the_families(results_with_previews: Path) -> None:
    frame = load(results_with_previews)
    root = parsed(report(results_with_previews))
    names = [score["name"] for score in data_of(root)[0]["scores"]]
    drawn = run(root, """
      const [cost, score] = document.querySelectorAll("select");
      return parts[0].scores.map((_, i) => {
        score.value = String(i);
        score.dispatch("change");
        const marks = document.querySelectorAll("svg.chart g.point");
        const all = [...document.querySelectorAll("svg.chart")[0].walk()];
        return {
          best: marks.filter((m) => m.getAttribute("aria-label").endsWith("on the front")).length,
          marks: marks.length,
          families: document.querySelectorAll("svg.chart path.family").map((f) => f.getAttribute("stroke")),
          bars: document.querySelectorAll("svg.chart line.bar").length,
          numbers: all.every((e) => !JSON.stringify(e.attributes).includes("NaN")),
        };
      });""")  # fmt: skip
    for name, each in zip(names, drawn, strict=True):
        panel = panel_of(frame, name, "macs")  # a paired score is drawn as its difference to the reference
        rows = panel.rows
        assert each["best"] == front(rows["share"], panel.y, panel.higher).sum()
        assert each["marks"] == each["bars"] == len(rows) and each["numbers"]
        assert set(each["families"]) <= {colour for colour, _ in family_styles(frame).values()}
    assert "#7a828c" in drawn[0]["families"]  # the line of fewer steps


def test_a_score_without_intervals_is_drawn_without_bars(results_with_previews: Path) -> None:
    for path in (results_with_previews / "records").glob("*.json"):
        content = json.loads(path.read_text())
        for entry in content["scores"].values():
            entry |= {"se": None, "low": None, "high": None, "delta": None}
        path.write_text(json.dumps(content))
    heights, labels, bars = run(parsed(report(results_with_previews)), """
      const marks = document.querySelectorAll("svg.chart g.point");
      const heights = marks.map((m) => m.getAttribute("transform").split(",")[1]);
      const labels = marks.map((m) => m.getAttribute("aria-label"));
      return [heights, labels, document.querySelectorAll("svg.chart line.bar").length];""")  # fmt: skip
    assert bars == 0 and len(set(heights)) > 2
    assert not any("95 %" in label for label in labels)


def test_points_are_reached_by_keys_and_show_what_is_known(results_with_previews: Path) -> None:
    root = parsed(report(results_with_previews))
    shown = run(root, """
      const marks = document.querySelectorAll("svg.chart g.point");
      const stops = marks.map((m) => m.getAttribute("tabindex"));
      marks[0].focus();
      marks[0].dispatch("keydown", { key: "ArrowRight" });
      const detail = document.querySelectorAll("div.detail")[0];
      const first = detail.querySelectorAll("h4")[0].textContent;
      marks.find((m) => m.getAttribute("aria-label").startsWith("</script>")).dispatch("pointerenter");
      const [images, terms, values] = ["img", "dt", "dd"].map((tag) => detail.querySelectorAll(tag));
      return {
        stops, first, moved: document.activeElement === marks[1],
        label: detail.querySelectorAll("h4")[0].textContent,
        images: images.map((i) => [i.getAttribute("class"), i.getAttribute("id")]),
        terms: terms.map((d) => d.textContent), values: values.map((d) => d.textContent),
        rows: document.querySelectorAll("tr.shown").length,
        hidden: document.querySelectorAll("div.plot")[0].hasAttribute("hidden"),
      };
    """)  # fmt: skip
    assert shown["stops"].count("0") == 1 and shown["stops"][0] == "0" and shown["moved"]
    assert shown["first"] != shown["label"] == NASTY
    assert shown["images"] == [["strip", None], ["raster", None]]
    assert "29.20 \u00b1 0.30" not in shown["values"] and "28.80 \u00b1 0.30" in shown["values"]
    assert any(term.startswith("psnr@64") for term in shown["terms"])
    assert shown["rows"] == 1 and not shown["hidden"]


def test_headings_sort_by_number_and_leave_gaps_last(results_with_previews: Path) -> None:
    root = parsed(report(results_with_previews))
    orders = run(root, """
      const table = document.querySelectorAll("table.sortable")[0];
      const headings = table.querySelectorAll("tr.titles th");
      const i = headings.findIndex((h) => h.textContent.startsWith("psnr"));
      const cells = () => table.querySelectorAll("tbody tr").map((row) => row.children[i]);
      const read = () => cells().map((cell) => cell.getAttribute("data-number"));
      const press = () => {
        headings[i].querySelectorAll("button")[0].dispatch("click");
        return [headings[i].getAttribute("aria-sort"), read()];
      };
      return [press(), press()];""")  # fmt: skip
    (up, ascending), (down, descending) = orders
    assert [up, down] == ["ascending", "descending"]
    assert ascending[-1] is None and descending[-1] is None  # the reference has no psnr
    numbers = [float(each) for each in ascending[:-1]]
    assert numbers == sorted(numbers) and [float(each) for each in descending[:-1]] == numbers[::-1]


def test_a_folder_without_any_success_still_has_a_page(tmp_path: Path) -> None:
    folder = tmp_path / "failed"
    add(folder, "broken", fixed(12), 0.5, **FAILED, reason="no weights")  # fmt: skip
    root = parsed(report(folder))
    assert "broken: failed - no weights" in [text_of(node) for node in walk(root) if node[0] == "li"]
    assert run(root, "return document.querySelectorAll('svg.chart').length;") == 0
