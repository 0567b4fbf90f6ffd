"""The report as one page that needs nothing else: tables to sort, points to look at, all pictures in it."""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import pandas as pd

from smoothbench.report.data.frame import costs_alone, scores, states, unfinished
from smoothbench.report.document import OPENING, group_title
from smoothbench.report.page import data_uris, players
from smoothbench.report.page.chart import chart, has_chart, raster_id
from smoothbench.report.page.html_tables import section
from smoothbench.report.page.html_verdict import verdict_html
from smoothbench.report.page.media_kinds import KINDS
from smoothbench.report.tables import latency_conditions, paper_comparison, vbench_table
from smoothbench.report.tables.column import BETTER, DAGGER, WORSE, Column, is_timed
from smoothbench.report.tables.latency_conditions import Conditions
from smoothbench.report.tables.point_tables import against_real, fidelity, measured, table_columns
from smoothbench.report.tables.provenance import provenance
from smoothbench.report.tables.text import PLUS_MINUS

DRAWN_HERE = (OPENING, "schedules", *(kind.picture for kind in KINDS))  # the page has these in its own way
CAPTIONS: Mapping[str, str] = {
    "headline": "Nearness to the reference's samples, and quality against real data.",
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
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?")


def page(
    parts: list[tuple[pd.DataFrame, dict[str, str]]],
    folder: Path,
    ignored: list[str],
    others: Conditions | None = None,
    study: Sequence[str] = (),
    unmade: Sequence[str] = (),
) -> str:
    """Write report.html.

    Args: parts, the frame of each setting and the file of each of its pictures by name; folder, where these
    files and `previews/` lie; ignored, the record files that could not be read; others, the conditions under
    which latency was measured too; study, the names of pictures of studies, which come first; unmade, the sections
    that could not be made. The same
    records and pictures give the same bytes; nothing is loaded from anywhere.
    """
    others = others or Conditions()
    frames = [part for part, _ in parts]
    experiments = list(dict.fromkeys(str(part["experiment"].iloc[0]) for part in frames))
    body = [_study(name, folder) for name in study]
    body += [_setting(i, part, pictures, folder, others) for i, (part, pictures) in enumerate(parts)]
    body.append(_listing("Sections that could not be made", unmade))
    body.append(_listing("Records that could not be read", ignored))
    body.append(_listing("Latencies that could not be read", others.ignored))
    return Template(_asset("template.html")).substitute(
        title=escape(", ".join(experiments)),
        style=_asset("report.css"),
        intro=_intro(frames),
        body="\n".join(filter(None, body)),
        data=_json([chart(i, part) for i, part in enumerate(frames)]),
        script=_asset("chart.js") + "\n\n" + _asset("report.js"),
    )


def _asset(name: str) -> str:
    return files("smoothbench.report").joinpath("page", name).read_text(encoding="utf-8").rstrip()


def _json(value: Any) -> str:
    """JSON that may stand in a script element: nothing in it can close the element or open a comment."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _intro(frames: list[pd.DataFrame]) -> str:
    shown = ["provenance", "status", "status.quality", "status.cost", "reason"]
    together = pd.concat([frame[shown] for frame in frames])
    lines = [f"<p>{len(together)} points ({escape(states(together))}). {escape(provenance(together))}</p>"]
    if len(frames) > 1:
        links = [
            f'<li><a href="#part-{i}">{escape(group_title(frame))}</a></li>' for i, frame in enumerate(frames)
        ]
        why = "Points of different models, samples, references or devices are not compared:"
        lines.append(f"<nav><p>{why}</p><ul>{''.join(links)}</ul></nav>")
    return "\n".join(lines)


def _study(name: str, folder: Path) -> str:
    path = folder / f"{name}.png"
    return f'<section class="figures">{_figure(name, path)}</section>' if path.is_file() else ""


def _setting(
    number: int, frame: pd.DataFrame, pictures: dict[str, str], folder: Path, others: Conditions
) -> str:
    rows, strips = measured(frame), players.strips(number, frame, folder)
    lines = [f'<section id="part-{number}">', f"<h2>{escape(group_title(frame))}</h2>"]
    lines += [verdict_html(frame), _opening(pictures, folder), _facts(frame)]
    if len(rows):
        columns = table_columns(frame, [*against_real(frame), *fidelity(frame)])
        lines += ["<h3>Table</h3>", _table(number, columns, frame)]
        lines.append(section(paper_comparison.TITLE, paper_comparison.tables(frame)))
        lines.append(section(vbench_table.TITLE, vbench_table.tables(frame)))
        lines.append(section(latency_conditions.TITLE, others.tables(frame), latency_conditions.NOTES))
    if has_chart(frame):
        lines += [PLOT, f'<div class="plot" data-part="{number}" hidden></div>']
    lines += [
        _tiles("Schedules", "tiles", _rasters(number, frame), "raster", RASTERS),
        players.players(number, frame, folder),
        _tiles("Samples", "tiles wide", strips, "strip", players.note(frame, folder)),
        _figures(pictures, folder),
        _unfinished(frame),
        _provenance(frame),
        "</section>",
    ]
    return "\n".join(filter(None, lines))


def _opening(pictures: dict[str, str], folder: Path) -> str:
    """The picture that stands above the table."""
    path = folder / pictures.get(OPENING, OPENING)
    return f'<div class="figures">{_figure(OPENING, path)}</div>' if path.is_file() else ""


def _facts(frame: pd.DataFrame) -> str:
    first, facts = frame.iloc[0], []
    if not costs_alone(frame).all():
        facts.append(
            f"Samples: {first['num_samples']} a point, seeds {first['seeds']}, the same for all points."
        )
    if is_timed(frame):
        where = f"{first['latency.device']} ({first['latency.kind']}), batch of {first['latency.batch_size']}"
        facts.append(f"Latency: {where}, median and MAD of {first['latency.rounds']} interleaved rounds.")
    if scores(frame):
        facts.append(
            f"Scores are value {PLUS_MINUS} half the width of the 95 % interval; below it the paired difference"
            f" to the reference on the same seeds: {BETTER} better, {WORSE} worse at p < 0.05 after Holm's"
            " correction."
        )
    flags = f" {DAGGER} marks a flagged score (see report.md)." if scores(frame) else ""
    facts.append(
        "Bold is the best of a column, underlined the second; the reference does not compete."
        f"{flags} Click a heading to sort."
    )
    return f'<ul class="facts">{"".join(f"<li>{escape(fact)}</li>" for fact in facts)}</ul>'


def _table(number: int, columns: list[Column], frame: pd.DataFrame) -> str:
    heads = "".join(f'<th scope="col">{escape(column.title)}</th>' for column in columns)
    ranks = [column.ranks() for column in columns]
    lines = []
    for i in range(len(columns[0].cells)):
        cells = [_cell(column, i, rank[i]) for column, rank in zip(columns[1:], ranks[1:], strict=True)]
        head = f'<th scope="row">{escape(columns[0].cells[i])}</th>'
        lines.append(f'<tr id="row-{number}-{i}">{head}{"".join(cells)}</tr>')
    region = (
        f'<div class="scroll" tabindex="0" role="region" aria-label="Table: {escape(group_title(frame))}">'
    )
    rows = "\n".join(lines)
    table = f'<table class="sortable"><thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody></table>'
    return f"{region}{table}</div>"


def _cell(column: Column, i: int, rank: int) -> str:
    text = escape(column.cells[i])
    shown = {1: f"<strong>{text}</strong>", 2: f"<u>{text}</u>"}.get(rank, text)
    if column.deltas and column.deltas[i]:
        shown += f" <small>{escape(f'{column.deltas[i]} {column.marks[i]}'.strip())}</small>"
    number = NUMBER.match(column.cells[i])
    value = column.values.iloc[i] if column.values is not None else math.nan  # NaN: it does not compete
    sortable = str(float(value)) if not math.isnan(value) else number.group() if number else ""
    return f'<td data-number="{sortable}">{shown}</td>' if sortable else f"<td>{shown}</td>"


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


def _unfinished(frame: pd.DataFrame) -> str:
    items = [
        f"{row['label']}: {row['status']} - {row['reason'] or 'no reason given'}"
        for _, row in unfinished(frame).iterrows()
    ]
    return _listing("Points that failed or were skipped", items)


def _listing(title: str, items: Iterable[str]) -> str:
    entries = "".join(f"<li>{escape(item)}</li>" for item in items)
    return f"<h3>{title}</h3><ul>{entries}</ul>" if entries else ""


def _provenance(frame: pd.DataFrame) -> str:
    """One row for each point: what its record says of its making."""
    heads = "".join(f'<th scope="col">{each}</th>' for each in ("point", "id", "solver", "provenance"))
    lines = []
    for i, row in frame.iterrows():
        solver = f"{row['solver']}, {row['steps']} steps"
        texts = [row["name"], row["point_id"], solver, provenance(frame.loc[[i]])]
        cells = "".join(f"<td>{escape(str(text))}</td>" for text in texts)
        lines.append(f"<tr>{cells}</tr>")
    table = f'<table class="kept"><thead><tr>{heads}</tr></thead><tbody>{"".join(lines)}</tbody></table>'
    region = '<div class="scroll" tabindex="0" role="region" aria-label="Provenance">'
    return f"<h3>Provenance</h3>{region}{table}</div>"
