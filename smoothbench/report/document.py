"""The page that a reader of an experiment opens first."""

import pandas as pd

from smoothbench.report.frame import scores
from smoothbench.report.tables import BETTER, DAGGER, PLUS_MINUS, WORSE, measured, ranks, report_table
from smoothbench.report.text import to_markdown

MOST_SPELLED_OUT = 3  # more distinct values than this are only counted


def document(parts: list[tuple[pd.DataFrame, list[str]]], ignored: list[str]) -> str:
    """The report in Markdown.

    Args: parts, the frame of each setting and the names of its pictures, which lie beside the report;
    ignored, the record files that could not be read.
    """
    lines = [f"# {', '.join(dict.fromkeys(str(part['experiment'].iloc[0]) for part, _ in parts))}", ""]
    if len(parts) > 1:
        lines += [
            f"{len(parts)} tables: points of different models, samples or devices are not compared.",
            "",
        ]
    for part, pictures in parts:
        lines += _setting(part, pictures)
    lines += _listing("Records that could not be read", ignored)
    return "\n".join([*lines, *_notes(pd.concat([part for part, _ in parts]))]) + "\n"


def _setting(frame: pd.DataFrame, pictures: list[str]) -> list[str]:
    first = frame.iloc[0]
    solvers = ", ".join(dict.fromkeys(frame["solver"]))
    counts = frame["status"].value_counts()
    states = ", ".join(f"{counts[state]} {state}" for state in sorted(counts.index))
    lines = [
        f"## {first['model']}, {solvers}, N = {first['num_samples']}",
        "",
        f"- Points: {len(frame)} ({states})",
        f"- Samples: {first['num_samples']} a point, seeds {first['seeds']}, the same for all points",
        *_latency(frame),
        f"- Provenance: {provenance(frame)}",
        "",
    ]
    table = report_table(frame)
    lines += [to_markdown(table, ranks(frame)) if len(table) else "No point has finished yet.\n"]
    lines += [f"![{name}]({name})\n" for name in pictures]
    lines += _listing("Points that failed or were skipped", _unfinished(frame))
    return lines + _listing("Flags", _flags(frame))


def _latency(frame: pd.DataFrame) -> list[str]:
    if "latency" not in frame:
        return ["- Latency: not measured"]
    first = frame.iloc[0]
    threads = f", threads: {first['latency.threads']}" if pd.notna(first["latency.threads"]) else ""
    where = f"{first['latency.device']} ({first['latency.kind']}{threads})"
    how = f"batch of {first['latency.batch_size']}, {first['latency.rounds']} interleaved rounds"
    return [f"- Latency: {where}, {how}, decoding apart"]


def provenance(frame: pd.DataFrame) -> str:
    """What the records say about their making, in one line; values that differ are listed or counted."""
    found: dict[str, set[str]] = {}
    for record in frame["provenance"]:
        for key, value in _flat(record):
            found.setdefault(key, set()).add(value)
    return "; ".join(f"{key} {_several(key, sorted(values))}" for key, values in sorted(found.items()))


def _flat(record: dict[str, object]) -> list[tuple[str, str]]:
    """Pairs of a name and a one-line value; dictionaries (versions, for instance) are opened once."""
    pairs: list[tuple[str, object]] = []
    for key, value in record.items():
        pairs += list(value.items()) if isinstance(value, dict) else [(key, value)]
    return [(key, " ".join(str(value).split())) for key, value in pairs if not isinstance(value, dict | list)]


def _several(key: str, values: list[str]) -> str:
    if key == "time" and len(values) > 1:
        return f"{values[0]} to {values[-1]}"
    return ", ".join(values) if len(values) <= MOST_SPELLED_OUT else f"({len(values)} different)"


def _unfinished(frame: pd.DataFrame) -> list[str]:
    return [
        f"{row['label']} (`{row['name']}`): quality {row['status.quality']}, cost {row['status.cost']}"
        f" - {row['reason'] or 'no reason given'}"
        for _, row in frame[frame["status"] != "done"].iterrows()
    ]


def _flags(frame: pd.DataFrame) -> list[str]:
    lines = []
    for score in scores(frame):
        flags = frame[f"{score}.flag"].fillna("")
        for flag in sorted(set(flags) - {""}):
            points = frame.loc[flags == flag, "label"]
            every = len(points) == frame[score].notna().sum()
            lines.append(f"{score}{DAGGER}: {flag} ({'all points' if every else ', '.join(points)})")
    return lines


def _listing(title: str, items: list[str]) -> list[str]:
    return [f"### {title}", "", *(f"- {item}" for item in items), ""] if items else []


def _notes(frame: pd.DataFrame) -> list[str]:
    lines = [
        f"Scores are value {PLUS_MINUS} half the width of the 95 % interval (1.96 standard errors over the"
        " samples of this run). In brackets: the paired difference to the reference on the same seeds;"
        f" {BETTER} better, {WORSE} worse, where its interval excludes 0; no triangle: no difference was"
        " shown. The intervals are not corrected for the number of comparisons.",
        "The number after @ in a score's name is its sample count; scores of other counts do not compare.",
        "Bold is the best of a column, underlined the second; the reference, and points with its very"
        " samples, do not compete.",
        "MACs are those of the denoiser, per sample, over the whole trajectory, with guidance and with the"
        " attention products. `macs_linear` in table.csv is the papers' convention, without the products.",
        "Speed-up by MACs is what the count allows; measured speed-up is the median over rounds of the"
        f" reference's time over the point's, {PLUS_MINUS} MAD. The first is no promise of the second.",
    ]
    if frame["same_as"].ne("").any():
        lines.append(
            "`(= other)`: this point asks for the same schedule as the other and shares its samples."
        )
    if frame["degenerate"].any():
        lines.append("`(skips nothing)`: the policy found nothing to skip at this setting.")
    if len(measured(frame)) < len(frame):
        lines.append("Points without a cost and without a score are not in the table; they are listed above.")
    return _listing("How to read this", lines)
