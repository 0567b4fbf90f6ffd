"""What papers printed of models that users know, beside what an experiment measured: sections of a report.

An experiment's YAML names one by `report: smoothbench.report.studies.reported_tables.dit_xl_2`, or `.open_sora`.
"""

import math
from collections.abc import Sequence

import pandas as pd

from smoothbench import papers
from smoothbench.report.data.groups import comparable_groups
from smoothbench.report.studies.section import Section
from smoothbench.report.tables.column import with_spread
from smoothbench.report.tables.paper_cells import OF_NOTES, bracketed, non_empty
from smoothbench.report.tables.point_tables import brief_columns, by_turns, strings
from smoothbench.report.tables.text import NONE, to_markdown
from smoothbench.storage.paper_row import PaperRow, PaperValue

DIT = ("taylorseer/dit-xl-2", "chebbooster/1", "rfc/dit-xl-2", "toca/dit-xl-2", "duca/dit-xl-2")
OPEN_SORA = ("teacache/1", "magcache/1", "lemica/1", "ertacache/1")
SCORES = 4  # columns of scores that were measured


def dit_xl_2(frame: pd.DataFrame) -> Section:
    """Return what papers print of DiT-XL/2 with 50 steps of DDIM, beside the points of a frame."""
    title = "Reported on DiT-XL/2 at 256 x 256, DDIM, 50 steps, FID of 50,000 samples"
    return _section(frame, title, DIT, "flops_speedup", ("fid", "sfid", "is"))


def open_sora(frame: pd.DataFrame) -> Section:
    """Return what papers print of Open-Sora 1.2 with 30 steps, beside the points of a frame."""
    title = "Reported on Open-Sora 1.2, 51 frames at 480p, 30 steps, fidelity to the uncached clips"
    return _section(frame, title, OPEN_SORA, "speedup", ("vbench", "lpips", "ssim", "psnr"))


def _section(
    frame: pd.DataFrame, title: str, tables: Sequence[str], saving: str, scores: Sequence[str]
) -> Section:
    """The printed table and the measured one, each by itself: no column holds numbers of both."""
    names = [name for name in papers.names() if name.rpartition("/")[0] in tables]
    rows = [row for row in map(papers.row, names) if row.base is not None or saving in row.values]
    rows.sort(key=lambda row: row.values[saving].value if saving in row.values else math.inf)
    lines = [f"### {title}", "", to_markdown(_printed(rows, saving, scores))]
    lines += [
        "Each row has the base of its own paper. Numbers of two papers are not of one run.",
        OF_NOTES,
        "",
    ]
    for name, group in comparable_groups(frame):
        measured = strings(brief_columns(group, by_turns(group)[:SCORES]))
        lines += [f"Measured here{f' ({name})' if name else ''}:", "", to_markdown(measured)]
    return Section(lines)


def _printed(rows: Sequence[PaperRow], saving: str, scores: Sequence[str]) -> pd.DataFrame:
    cells = {
        "paper": [f"{row.paper} (arXiv:{row.arxiv})" for row in rows],
        "setting": [row.row for row in rows],
        "saves": [_cell(row.values.get(saving), row.source, "\u00d7") for row in rows],
    }
    for score in scores:
        cells[score] = [_cell(row.values.get(score), row.source) for row in rows]
        cells[f"{score} of its base"] = [_cell((row.base or {}).get(score), row.source) for row in rows]
    return pd.DataFrame(non_empty(cells), dtype=object)


def _cell(value: PaperValue | None, source: str | None, unit: str = "") -> str:
    """A printed value with the decimals that it was printed with."""
    if value is None:
        return NONE
    return bracketed(with_spread(value.value, value.interval or math.nan, value.decimals or 0, unit), source)
