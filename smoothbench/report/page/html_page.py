"""The report as one page that needs nothing else: tables to sort, points to look at, all pictures in it."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from smoothbench.report.document import OPENING, group_title
from smoothbench.report.page import data_uris, players
from smoothbench.report.page.chart import chart, has_chart, raster_id
from smoothbench.report.page.html_facts import facts, failures, intro, listing, provenance_table
from smoothbench.report.page.html_frame import OWN_STYLE, asset, framed
from smoothbench.report.page.html_tables import section
from smoothbench.report.page.html_verdict import budgets_html, verdict_html
from smoothbench.report.page.media_kinds import KINDS
from smoothbench.report.page.points_table import points_table
from smoothbench.report.page.side_by_side import side_by_side, side_by_side_html
from smoothbench.report.tables import latency_conditions, paper_comparison, vbench_table
from smoothbench.report.tables.latency_conditions import Conditions
from smoothbench.report.tables.point_tables import measured
from smoothbench.report.verdict.section import VerdictText, verdict_text

DRAWN_HERE = (OPENING, "schedules", *(kind.picture for kind in KINDS))  # the page has these in its own way
CAPTIONS: Mapping[str, str] = {
    "headline": "Nearness to the reference's samples, and quality.",
    "pareto_macs": "Every score against MACs.",
    "pareto_latency": "Every score against measured latency.",
    "error_curves": "Relative L1 change of the layers' outputs in calibration, and the thresholds.",
    "composition": "Computed MACs by kind of layer.",
}
RASTERS = (
    "Evaluations across, noisiest first; sites down, a block for each kind; dark is computed, pale reused."
)
PLOT = """<h3>Cost against quality</h3>
<noscript><p>The interactive plot needs scripts; the table and the figures do not.</p></noscript>"""
SCRIPTS = ("chart.js", "tables.js", "compare.js", "report.js")
POLICY = ("img-src data:", "media-src data:", OWN_STYLE, "script-src 'unsafe-inline'")


@dataclass(frozen=True)
class PartData:
    """What a setting's page is made of beside its frame: its verdict, and its points side by side."""

    verdict: VerdictText | None
    pairs: Mapping[str, Any] | None

    def data(self) -> dict[str, Any]:
        """Return the points side by side for the script, and the labels that it opens with."""
        named = [label for one in self.verdict.statements for label in one.labels] if self.verdict else []
        return {"pairs": self.pairs, "named": named}


def page(
    parts: list[tuple[pd.DataFrame, dict[str, str]]],
    folder: Path,
    ignored: list[str],
    others: Conditions | None = None,
    study: Sequence[str] = (),
    unmade: Sequence[str] = (),
    verdicts: Sequence[VerdictText | None] | None = None,
    after: Sequence[str] = (),
) -> str:
    """Write report.html.

    Args: parts, the frame of each setting and the file of each of its pictures by name; folder, where these
    files and `previews/` lie; ignored, the record files that could not be read; others, the conditions under
    which latency was measured too; study and after, the names of pictures of studies, which come first and last;
    unmade, the sections that could not be made; verdicts, those of the parts where they are known already. The same
    records, samples and pictures give the same bytes; nothing is loaded from anywhere.
    """
    others = others or Conditions()
    frames = [part for part, _ in parts]
    experiments = list(dict.fromkeys(str(part["experiment"].iloc[0]) for part in frames))
    body = [_study(name, folder) for name in study]
    texts = verdicts if verdicts is not None else [verdict_text(part) for part in frames]
    known = [
        PartData(text, side_by_side(i, part, folder))
        for i, (text, part) in enumerate(zip(texts, frames, strict=True))
    ]
    body += [
        _setting(i, part, pictures, folder, others, known[i]) for i, (part, pictures) in enumerate(parts)
    ]
    body += [_study(name, folder) for name in after]
    body.append(listing("Sections that could not be made", unmade))
    body.append(listing("Records that could not be read", ignored))
    body.append(listing("Latencies that could not be read", others.ignored))
    data = _json([chart(i, part) | known[i].data() for i, part in enumerate(frames)])
    code = "\n\n".join(map(asset, SCRIPTS))
    title = ", ".join(experiments)
    return framed(
        title,
        asset("report.css"),
        f"{intro(frames)}\n<h1>{escape(title)}</h1>",
        body,
        (f'<script type="application/json" id="data">{data}</script>', f"<script>\n{code}\n</script>"),
        POLICY,
    )


def _json(value: Any) -> str:
    """JSON that may stand in a script element: nothing in it can close the element or open a comment."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _study(name: str, folder: Path) -> str:
    path = folder / f"{name}.png"
    return f'<section class="figures">{_figure(name, path)}</section>' if path.is_file() else ""


def _setting(
    number: int,
    frame: pd.DataFrame,
    pictures: dict[str, str],
    folder: Path,
    others: Conditions,
    known: PartData,
) -> str:
    rows, strips = measured(frame), players.strips(number, frame, folder)
    lines = [f'<section id="part-{number}">', f"<h2>{escape(group_title(frame))}</h2>"]
    lines += [verdict_html(known.verdict), _opening(pictures, folder), budgets_html(known.verdict)]
    if has_chart(frame):
        lines += [PLOT, f'<div class="plot" data-part="{number}" hidden></div>']
    lines.append(side_by_side_html(number, known.pairs))
    if len(rows):
        lines += ["<h3>All points</h3>", facts(frame), points_table(number, frame)]
        lines.append(section(paper_comparison.TITLE, paper_comparison.tables(frame)))
        lines.append(section(vbench_table.TITLE, vbench_table.tables(frame)))
        lines.append(section(latency_conditions.TITLE, others.tables(frame), latency_conditions.NOTES))
    lines += [
        _tiles("Schedules", "tiles", _rasters(number, frame), "raster", RASTERS),
        players.players(number, frame, folder),
        _tiles("Samples", "tiles wide", strips, "strip", players.note(frame, folder)),
        _figures(pictures, folder),
        failures(frame),
        provenance_table(frame),
        "</section>",
    ]
    return "\n".join(filter(None, lines))


def _opening(pictures: dict[str, str], folder: Path) -> str:
    """The picture that stands above the table."""
    path = folder / pictures.get(OPENING, OPENING)
    return f'<div class="figures">{_figure(OPENING, path)}</div>' if path.is_file() else ""


def _rasters(number: int, frame: pd.DataFrame) -> dict[str, tuple[str, list[str]]]:
    """Picture and labels of each distinct schedule by the id of its element."""
    tiles: dict[str, tuple[str, list[str]]] = {}
    for _, row in frame[frame["schedule"].notna()].iterrows():
        share = "" if math.isnan(row["share"]) else f" ({100 * row['share']:.0f} %)"
        name = raster_id(number, row["schedule"])
        tiles.setdefault(name, (data_uris.raster(row["schedule"]), []))[1].append(f"{row['label']}{share}")
    return tiles


def _tiles(title: str, style: str, tiles: dict[str, tuple[str, list[str]]], kind: str, note: str) -> str:
    lines = [f'<h3>{title}</h3><p class="note">{note}</p><div class="{style}">'] if tiles else []
    for name, (image, labels) in tiles.items():
        text = escape(" = ".join(dict.fromkeys(labels)))
        alt = f"{kind} of {text}"
        lines.append(
            f"<figure><figcaption>{text}</figcaption>"
            f'<img class="{kind}" id="{escape(name)}" alt="{alt}" src="{image}"></figure>'
        )
    return "\n".join([*lines, "</div>"]) if tiles else ""


def _figures(pictures: dict[str, str], folder: Path) -> str:
    paths = {name: folder / file for name, file in pictures.items() if name not in DRAWN_HERE}
    figures = [_figure(name, path) for name, path in paths.items() if path.is_file()]
    return f'<div class="figures"><h3>Figures</h3>{"".join(figures)}</div>' if figures else ""


def _figure(name: str, path: Path) -> str:
    caption = escape(CAPTIONS.get(name, name.replace("_", " ").capitalize() + "."))
    image = f'<img alt="{caption}" src="{data_uris.picture(path)}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"
