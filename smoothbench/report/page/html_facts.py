"""How a setting of report.html was measured: samples, latency, how its numbers read, what failed, provenance."""

from collections.abc import Iterable, Sequence
from html import escape

import pandas as pd

from smoothbench.report.data.frame import costs_alone, scores, states, unfinished
from smoothbench.report.document import group_title
from smoothbench.report.tables.column import BETTER, DAGGER, WORSE, is_timed
from smoothbench.report.tables.provenance import provenance
from smoothbench.report.tables.text import PLUS_MINUS


def intro(frames: Sequence[pd.DataFrame]) -> str:
    """Count the points of a page, folded with what made them; of several settings list their headings too."""
    shown = ["provenance", "status", "status.quality", "status.cost", "reason"]
    together = pd.concat([frame[shown] for frame in frames])
    count = f"{len(together)} points ({escape(states(together))})"
    lines = [f"<details><summary>{count}</summary><p>{escape(provenance(together))}</p></details>"]
    if len(frames) > 1:
        links = [
            f'<li><a href="#part-{i}">{escape(group_title(frame))}</a></li>' for i, frame in enumerate(frames)
        ]
        why = "Points of different models, samples, references or devices are not compared:"
        lines.append(f"<nav><p>{why}</p><ul>{''.join(links)}</ul></nav>")
    return "\n".join(lines)


def facts(frame: pd.DataFrame) -> str:
    """Say above the table how it was measured and how it reads."""
    first, lines = frame.iloc[0], []
    if not costs_alone(frame).all():
        lines.append(
            f"Samples: {first['num_samples']} a point, seeds {first['seeds']}, the same for all points."
        )
    if is_timed(frame):
        where = f"{first['latency.device']} ({first['latency.kind']}), batch of {first['latency.batch_size']}"
        lines.append(f"Latency: {where}, median and MAD of {first['latency.rounds']} interleaved rounds.")
    if scores(frame):
        lines.append(
            f"Scores are value {PLUS_MINUS} half the width of the 95 % interval; below it the paired difference"
            f" to the reference on the same seeds: {BETTER} better, {WORSE} worse at p < 0.05 after Holm's"
            " correction over the policies of the table, score by score."
        )
    flags = f" {DAGGER} marks a flagged score (see report.md)." if scores(frame) else ""
    lines.append(
        "Bold is the best value of a column, underlined the second, without a test; the reference and points with its"
        " very samples do not compete."
        f"{flags} Click a heading to sort."
    )
    return f'<ul class="facts">{"".join(f"<li>{escape(line)}</li>" for line in lines)}</ul>'


def failures(frame: pd.DataFrame) -> str:
    """List the points that failed or were skipped, with their reasons; "" without any."""
    items = [
        f"{row['label']}: {row['status']} - {row['reason'] or 'no reason given'}"
        for _, row in unfinished(frame).iterrows()
    ]
    return listing("Points that failed or were skipped", items)


def listing(title: str, items: Iterable[str]) -> str:
    """Write a heading and a list; "" without items."""
    entries = "".join(f"<li>{escape(item)}</li>" for item in items)
    return f"<h3>{title}</h3><ul>{entries}</ul>" if entries else ""


def provenance_table(frame: pd.DataFrame) -> str:
    """Write a row for each point, folded: what its record says of its making."""
    heads = "".join(f'<th scope="col">{title}</th>' for title in ("point", "id", "solver", "provenance"))
    lines = []
    for i, row in frame.iterrows():
        solver = f"{row['solver']}, {row['steps']} steps"
        texts = [row["name"], row["point_id"], solver, provenance(frame.loc[[i]])]
        cells = "".join(f"<td>{escape(str(text))}</td>" for text in texts)
        lines.append(f"<tr>{cells}</tr>")
    table = f'<table class="kept"><thead><tr>{heads}</tr></thead><tbody>{"".join(lines)}</tbody></table>'
    region = f'<div class="scroll" tabindex="0" role="region" aria-label="Provenance">{table}</div>'
    return f"<details><summary><h3>Provenance</h3> of every point</summary>{region}</details>"
