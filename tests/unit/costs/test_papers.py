"""The papers' tables: read as printed, and reproduced by their convention."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from smoothbench import papers
from smoothbench.storage.paper_row import PaperRow, PaperValue
from tests.support.paper_table import BLOCK, TABLE, tmacs


def printed(name: str, key: str) -> PaperValue:
    return papers.row(name).values[key]


def table_of(name: str) -> dict[str, Any]:
    return dict(json.loads((papers.FOLDER / f"{name}.json").read_text(encoding="utf-8"))["tables"])


def test_values_are_those_of_the_papers() -> None:
    row = papers.row("smoothcache/1/ddim50-alpha0.18")
    assert (row.paper, row.arxiv, row.table) == ("SmoothCache", "2411.10510", "1")
    assert (row.row, row.inferred, row.num_samples) == ("alpha=0.18, 50 steps", False, 50_000)
    expected = {"fid": (2.65, 0.04), "sfid": (4.65, 0.03), "is": (238.7, 1.1), "tmacs": (175.65, None)}
    expected["latency"] = (4.85, None)
    assert {key: (each.value, each.interval) for key, each in row.values.items()} == expected
    assert printed("smoothcache/1/ddim50-nocache", "sfid") == PaperValue(4.3, 0.02, 2)
    assert printed("smoothcache/2/rf30-alpha0.03", "vbench").value == 0.781  # printed in per cent
    assert printed("smoothcache/3/sde100-alpha0.30", "fd_openl3_songdescriber").interval == 5.9
    assert printed("learning_to_cache/1/ddim50-l2c", "precision").value == 0.8094
    assert printed("learning_to_cache/2/dpm50-l2c", "fid") == PaperValue(2.3625, None, 4)


def test_rows_say_where_they_were_read_and_have_the_base_of_their_own_run() -> None:
    read, noted = papers.row("duca/dit-xl-2/duca-n3"), papers.row("duca/dit-xl-2/duca-n3-again")
    assert (read.source, noted.source) == ("paper", "note")
    assert read.base and noted.base and (read.base["fid"].value, noted.base["fid"].value) == (2.32, 2.25)
    chebbooster = papers.row("chebbooster/1/chebbooster-n3-h3")
    assert chebbooster.base and (chebbooster.values["fid"].value, chebbooster.base["fid"].value) == (
        2.25,
        2.18,
    )
    assert printed("teacache/1/teacache-slow", "vbench").value == 0.7928
    assert printed("lemica/1/lemica-slow", "psnr") == PaperValue(31.32, None, 2)
    old = papers.row("smoothcache/1/ddim50-fora2")
    assert old.source is old.base is None and not {"source", "base"} & old.to_json().keys()


def test_every_row_can_stand_in_a_record() -> None:
    names = papers.names()
    assert [sum(name.startswith(f"smoothcache/{i}/") for name in names) for i in (1, 2, 3)] == [15, 3, 3]
    assert len(set(names)) == len(names) and sum(name.startswith("learning") for name in names) == 19
    for name in names:
        row = papers.row(name)
        assert PaperRow.from_json(json.loads(json.dumps(row.to_json()))) == row
    inferred = [name.split("-")[1] for name in names if papers.row(name).inferred]
    assert inferred == ["alpha0.22", "alpha0.12"]


@pytest.mark.parametrize("row", table_of("smoothcache")["1"]["rows"], ids=lambda row: row["id"])
def test_table_1_follows_from_its_schedules(row: dict[str, Any]) -> None:
    """Facts: the calls of L2C's router, and the full evaluations of the published schedules."""
    full = row["schedule"].get("full_evaluations")
    calls = row["schedule"].get("calls") or {"attn": 28 * full, "mlp": 28 * full}
    value = printed(f"{TABLE}/{row['id']}", "tmacs")
    tolerance = 0.02 + 0.5 * 10.0**-value.decimals
    assert abs(tmacs(calls["attn"], calls["mlp"], row["steps"]) - value.value) <= tolerance
    assert abs(tmacs(calls["attn"], calls["mlp"] + 56, row["steps"]) - value.value) > tolerance


def test_l2c_counts_one_row_without_guidance() -> None:
    """5.72 TMACs are 50 evaluations of all linear layers and convolutions, 114.39 G (the facts' count)."""
    for row in table_of("learning_to_cache")["1"]["rows"]:
        calls = row["schedule"] and row["schedule"].get("calls")
        if "tmacs" in row["values"] and row["schedule"] and not row["id"].startswith("512"):
            full = 28 * row["steps"]
            calls = calls or {"attn": full, "mlp": full}
            macs = BLOCK * (4 * calls["attn"] + 8 * calls["mlp"]) + 241.4e6 * row["steps"]
            assert macs / 1e12 == pytest.approx(float(row["values"]["tmacs"]), abs=0.01)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fora/1/x", "no table file in .* named 'fora': there are chebbooster, .*, learning_to_cache, .*"),
        ("smoothcache/9/x", "no table of smoothcache is named '9': there are 1, 2, 3"),
        ("smoothcache/2/x", "no row of smoothcache/2 is named 'x': there are rf30-nocache, rf30-alpha0.02"),
        ("../reported/smoothcache/1", "no table file"),
        ("", "no table file"),
    ],
)
def test_unknown_rows_say_what_there_is(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        papers.row(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"source": "note"', '"source": "rumour"', "its base-2.25.source is 'rumour', not 'paper' or 'note'"),
        (
            '"base": "base-2.32"',
            '"base": "base"',
            "its duca-n3.base is 'base', which is no row of the table without",
        ),
        (
            '"base": "base-2.25"',
            '"base": "duca-n3"',
            "its duca-n3-again.base is 'duca-n3', which is no row of",
        ),
    ],
)
def test_damaged_sources_and_bases_are_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (papers.FOLDER / "duca.json").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "duca.json").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ValueError, match=rf"duca.json cannot be read \({message}.*restore") as caught:
        papers.names(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{", "", "Expecting value|Extra data"),
        ('"365.59"', "365.59", "ddim50-nocache.tmacs is 365.59, not a text"),
        ('"2.28 +- 0.03"', '"2.28(3)"', r"ddim50-nocache.fid is '2.28\(3\)', not like"),
        ('"tmacs": "365.59"', '"tmac": "365.59"', "a value 'tmac', which is none of the table's columns"),
        ('"arxiv"', '"arXiv"', "it has no 'arxiv'"),
        ('"inferred": false', '"inferred": 0', "inferred is 0, not true or false"),
        ('"percent": []', '"percent": null', "percent is null, not a list"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    shutil.copy(papers.FOLDER / "smoothcache.json", tmp_path)
    path = tmp_path / "smoothcache.json"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(
        ValueError, match=rf"smoothcache.json cannot be read \(.*({message}).*restore"
    ) as caught:
        papers.row("smoothcache/1/ddim50-nocache", tmp_path)
    assert "\n" not in str(caught.value)
