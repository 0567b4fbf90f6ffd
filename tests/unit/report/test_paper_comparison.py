"""Reported beside measured, in every form of the report; and reports of costs alone."""

import json
from pathlib import Path
from typing import Any

import pytest

from smoothbench.report import load, summary, write
from smoothbench.report.data.groups import comparable_groups
from smoothbench.report.page.html_page import page
from smoothbench.report.summary import WIDTH
from smoothbench.report.tables.paper_cells import INFERRED, OF_NOTES
from smoothbench.report.tables.paper_comparison import tables
from smoothbench.report.tables.point_tables import numbers
from smoothbench.storage.record import Record
from tests.support.html_document import parsed, text_of, walk
from tests.support.paper_table import ROWS, paper_record, printed_row, tmacs
from tests.support.report_folder import build, digest, edit, latency, made, save


@pytest.fixture
def paper_costs(tmp_path: Path) -> Path:
    """Four printed rows, costs alone."""
    for order, name in enumerate(ROWS):
        save(tmp_path / "runs", paper_record(order, name))
    return tmp_path / "runs"


def test_costs_alone_are_a_report_of_costs(paper_costs: Path) -> None:
    assert {path.name for path in write(paper_costs)} == {
        "report.md",
        "report.html",
        "table.csv",
        "table.tex",
    }
    text = (paper_costs / "report.md").read_text(encoding="utf-8")
    assert "- Points: 4 (4 costs alone)" in text and "### Cost\n" in text
    assert "N = 256" not in text and "Samples:" not in text and "Scores are" not in text
    assert "failed or were skipped" not in text and "stage=cost" not in text
    line = next(line for line in text.splitlines() if line.startswith(f"| alpha=0.22, 50 steps {INFERRED}"))
    cells = [cell.strip() for cell in line.strip("|").split("|")][1:]
    assert cells == ["50", "131.81", "131.809", "131.503", "-0.001", "yes", "4.12", "4.27", "published count"]
    assert f"{INFERRED} inferred: nobody published" in text


def test_terminal_shows_published_beside_computed(paper_costs: Path) -> None:
    lines = summary(paper_costs).splitlines()
    assert max(map(len, lines)) <= WIDTH
    heading = next(line for line in lines if line.startswith("policy"))
    assert heading.split()[1:7] == ["steps", "reported", "computed", "explained", "diff.", "agrees"]
    assert any("248.8   248.823    248.395  +0.023     yes" in line for line in lines)


def test_values_of_notes_stand_in_brackets(paper_costs: Path) -> None:
    assert OF_NOTES not in summary(paper_costs)
    edit(paper_costs, "ddim50-alpha0.18", reported=printed_row("ddim50-alpha0.18") | {"source": "note"})
    write(paper_costs)
    text = (paper_costs / "report.md").read_text(encoding="utf-8")
    assert "(175.65) | 175.643" in text and "| 131.81 | 131.809" in text and f"- {OF_NOTES}" in text


def test_terminal_spares_columns_where_labels_are_long(paper_costs: Path) -> None:
    edit(paper_costs, "ddim50-alpha0.18", label="SmoothCache at the published mask of alpha=0.18, 50 steps")
    text = summary(paper_costs)
    assert max(map(len, text.splitlines())) <= WIDTH and "175.65   175.643" in text
    assert "schedule:" not in text and "steps  reported" not in text


def test_a_count_outside_the_tolerance_does_not_agree(paper_costs: Path) -> None:
    cost = paper_record(1, "ddim50-alpha0.18")["cost"]
    for extra, verdict in ((0.03, "yes"), (0.04, "no")):  # from 175.643 against 175.65 +- 0.025
        edit(
            paper_costs, "ddim50-alpha0.18", cost=cost | {"paper": cost["paper"] | {"tmacs": 175.643 + extra}}
        )
        assert load(paper_costs).loc[1, "reported.tmacs.within"] == verdict


def test_scores_stand_beside_the_papers(tmp_path: Path) -> None:
    inside, outside = made(0.1, 0.5) | {"value": 2.69}, made(0.1, 0.5) | {"value": 2.70}
    for order, (name, score) in enumerate({"ddim50-alpha0.18": inside, "ddim50-nocache": outside}.items()):
        done = {"status": {"quality": "done", "cost": "done"}, "reason": None}
        save(tmp_path, paper_record(order, name, scores={"fid@256": score}, **done))
    text = "\n".join(line for table in tables(load(tmp_path)) for line in (*table.notes, str(table.cells)))
    assert "'+0.040', '+0.420'" in text and "'2.65 \u00b1 0.04', '2.28 \u00b1 0.03'" in text
    assert "['other N', 'other N']" in text and "are of 50,000 samples, these of 256" in text
    for name in ("ddim50-alpha0.18", "ddim50-nocache"):
        edit(tmp_path, name, reported=printed_row(name) | {"num_samples": 256})
    assert load(tmp_path)["reported.fid.within"].tolist() == ["yes", "no"]
    assert "fid reported and measured: SmoothCache" in summary(tmp_path)


def test_realised_share_of_the_implied_speedup(paper_costs: Path) -> None:
    """8.34 / 4.85 s over 365.59 / 175.65 TMACs are 0.83, whatever was measured here."""
    (text,) = (table for table in tables(load(paper_costs)) if table.title.startswith("Latency reported:"))
    assert text.cells["reported share"] == ["1.00", "0.83", "0.73", "0.82"]
    records = [json.loads(path.read_text()) for path in sorted((paper_costs / "records").glob("*.json"))]
    content = latency(records)
    for name, seconds in (("ddim50-nocache", 4.0), ("ddim50-alpha0.18", 2.4)):
        content["points"][digest(name)] |= {"seconds": [seconds] * 5, "reference_seconds": [4.0] * 5}
    (paper_costs / "latency.json").write_text(json.dumps(content))
    (text,) = (table for table in tables(load(paper_costs)) if table.title.startswith("Latency reported and"))
    assert text.cells["reported share"][1] == "0.83"
    assert text.cells["measured share"][:2] == ["1.00", f"{4.0 / 2.4 * 24 / 50:.2f}"]


def test_page_and_table_hold_the_same(paper_costs: Path) -> None:
    parts = [(part, dict[str, str]()) for _, part in comparable_groups(load(paper_costs))]
    texts = [
        text_of(node) for node in walk(parsed(page(parts, paper_costs, []))) if node[0] in ("td", "th", "h3")
    ]
    assert "Reported beside measured" in texts and f"alpha=0.22, 50 steps {INFERRED}" in texts
    assert {"131.81", "131.809", "published count"} <= set(texts)
    row = numbers(parts[0][0]).iloc[2]
    assert (row["reported.tmacs"], row["reported.fid.interval"], row["planned"]) == (
        131.81,
        0.05,
        "published count",
    )
    assert row["convention.tmacs"] == tmacs(28 * 18, 28 * 18, 50) and row["paper.inferred"]


def test_records_without_papers_keep_their_report(tmp_path: Path) -> None:
    frame = load(build(tmp_path, (0, 6), ("fd_nano@256",)))
    assert not tables(frame) and not [name for name in frame if str(name).startswith(("paper", "reported"))]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reported": 3}, "its reported is 3, not an object"),
        ({"reported": {"paper": "x"}}, "reported.arxiv"),
        ({"planned": 1}, "its planned is 1, not a text"),
        ({"reported": printed_row("ddim50-l2c") | {"values": {"f d": {"value": 1}}}}, "name 'f d'"),
        (
            {"reported": printed_row("ddim50-l2c") | {"values": {"fid": {"value": "1"}}}},
            "fid.value",
        ),
        ({"cost": {"paper": {"scope": "all"}}}, "cost.paper.scope is 'all', not one of branches, denoiser"),
    ],
)
def test_damaged_papers_of_a_record_are_refused(change: dict[str, Any], message: str) -> None:
    found = paper_record(0, "ddim50-nocache")
    change = {key: found["cost"] | value if key == "cost" else value for key, value in change.items()}
    with pytest.raises((ValueError, KeyError), match=message):
        Record.from_json(found | change)
