"""Sections that show what papers printed beside what was measured."""

from pathlib import Path

import pytest

from smoothbench.report import load
from smoothbench.report.studies.named_sections import section_function
from smoothbench.report.tables.paper_cells import OF_NOTES
from tests.support.report_folder import build

MODULE = "smoothbench.report.studies.reported_tables"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("results"), [0, 1, 2, 3])


def test_dit_xl_2_is_sorted_by_what_it_saves_and_has_each_row_s_own_base(results: Path) -> None:
    text = "\n".join(section_function(f"{MODULE}.dit_xl_2")(load(results)).lines)
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if "arXiv:" in line
    ]
    assert [
        "DuCa (arXiv:2412.18911)",
        "DuCa N=3",
        "2.48\u00d7",
        "2.85",
        "2.32",
        "4.64",
        "4.32",
        "-",
        "-",
    ] in rows
    again = next(row for row in rows if row[1] == "DuCa N=3, another run")
    assert again[2:5] == ["(2.48\u00d7)", "(3.05)", "(2.25)"] and OF_NOTES in text
    saved = [float(row[2].strip("()").rstrip("\u00d7")) for row in rows if row[2] != "-"]
    assert saved == sorted(saved) and len(saved) > 25
    assert text.index("Measured here:") > text.index(rows[-1][1]) and "no cache, 50 steps" in text


def test_open_sora_stands_beside_the_measured_points(results: Path) -> None:
    frame = load(results)
    lines = section_function(f"{MODULE}.open_sora")(frame).lines
    text = "\n".join(lines)
    assert "| LeMiCa, slow | (1.52\u00d7) | (0.7926) | - | (0.050) | (0.923) | (31.32) |" in text
    assert "| MagCache, slow (K=1, 0.06) | 1.41\u00d7 | - | - | 0.0827 | 0.8859 | 26.93 |" in text
    assert all(label in text for label in frame["label"])
