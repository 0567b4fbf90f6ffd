"""The page that a reader of an experiment opens first."""

from collections.abc import Sequence

import pandas as pd

from smoothbench.report.data.distinctions import distinction
from smoothbench.report.data.frame import costs_alone, scores, states, unfinished
from smoothbench.report.tables import encoder_agreement, pairing_gain, paper_comparison, vbench_table
from smoothbench.report.tables.column import BETTER, DAGGER, LEVEL, MISSED, OFF, WORSE, Column
from smoothbench.report.tables.latency_conditions import Conditions
from smoothbench.report.tables.point_tables import (
    against_real,
    brief_columns,
    by_turns,
    fidelity,
    fidelity_columns,
    measured,
    ranking,
    strings,
    table_columns,
)
from smoothbench.report.tables.provenance import provenance, stated
from smoothbench.report.tables.text import PLUS_MINUS, to_markdown
from smoothbench.report.verdict.section import VerdictText, markdown, verdict_text

OPENING = "headline"  # the picture that stands above the table
BRIEF = 4  # scores of the first table


def document(
    parts: Sequence[tuple[pd.DataFrame, Sequence[str]]],
    ignored: list[str],
    study: Sequence[str] = (),
    conditions: Conditions | None = None,
    unmade: Sequence[str] = (),
    verdicts: Sequence[VerdictText | None] | None = None,
    after: Sequence[str] = (),
) -> str:
    """Write the report in Markdown.

    Args: parts, the frame of each setting and the names of its pictures, which lie beside the report;
    ignored, the record files that could not be read; study, lines of Markdown to come first; conditions,
    under which latency was measured too; unmade, why sections that the experiment names are not there; verdicts,
    those of the parts where they are known already; after, lines of Markdown that follow the tables.
    """
    conditions = conditions or Conditions()
    lines = [
        f"# {', '.join(dict.fromkeys(str(part['experiment'].iloc[0]) for part, _ in parts))}",
        "",
        *study,
    ]
    if len(parts) > 1:
        lines += [
            f"{len(parts)} tables: points of different models, samples, references or devices are not"
            " compared.",
            "",
        ]
    if verdicts is None:
        verdicts = [verdict_text(part) for part, _ in parts]
    for (part, pictures), judged in zip(parts, verdicts, strict=True):
        lines += _setting(part, pictures, conditions, judged)
    lines += after
    lines += _listing("Sections that could not be made", unmade)
    lines += _listing("Records that could not be read", ignored)
    lines += _listing("Latencies that could not be read", conditions.ignored)
    return "\n".join([*lines, *_notes(pd.concat([part for part, _ in parts]))]) + "\n"


def group_title(frame: pd.DataFrame, *known: str) -> str:
    """Name a comparable group: model, solver, the reference's steps, guidance, samples if any.

    Then everything else in which it differs from the others of its folder, but for what is known already.
    """
    first, solvers = frame.iloc[0], ", ".join(dict.fromkeys(frame["solver"]))
    reference = frame.loc[frame["reference"].astype(bool), "steps"]
    steps = f" {reference.iloc[0]} steps" if len(reference) else ""
    guidance = "" if pd.isna(first["guidance"]) else f", guidance {first['guidance']:g}"
    samples = "" if costs_alone(frame).all() else f", N = {first['num_samples']}"
    rest = distinction(first, "model", "guidance", "solver", "steps", "N", *known)
    return f"{first['model']}, {solvers}{steps}{guidance}{samples}" + (f", {rest}" if rest else "")


def _setting(
    frame: pd.DataFrame, pictures: Sequence[str], conditions: Conditions, judged: VerdictText | None
) -> list[str]:
    opening = [name for name in pictures if name.startswith(OPENING)]
    lines = [
        f"## {group_title(frame)}",
        "",
        *markdown(judged),
        *(f"![{name}]({name})\n" for name in opening),
        f"- Points: {len(frame)} ({states(frame)})",
        *_samples(frame),
        f"- Numerics: {stated(each.to_json() for each in frame['numerics'])}",
        *_latency(frame),
        f"- Provenance: {provenance(frame)}",
        "",
        *_tables(frame),
    ]
    lines += paper_comparison.section(frame) + vbench_table.section(frame) + conditions.section(frame)
    lines += [f"![{name}]({name})\n" for name in pictures if name not in opening]
    lines += pairing_gain.section(frame) + encoder_agreement.section(frame)
    lines += _listing("Points that failed or were skipped", _unfinished(frame))
    return lines + _listing("Flags", _flags(frame))


def _samples(frame: pd.DataFrame) -> list[str]:
    if costs_alone(frame).all():
        return []
    first = frame.iloc[0]
    return [
        f"- Samples: {first['num_samples']} a point, seeds {_seeds(first['seeds'])}, the same for all points"
    ]


def _seeds(shown: str) -> str:
    ranges = shown.count(",") + 1
    return f"{shown} ({ranges} disjoint ranges)" if ranges > 1 else shown


def _tables(frame: pd.DataFrame) -> list[str]:
    """A short table of the first scores; all costs and scores behind it, folded."""
    if not len(measured(frame)):
        return ["No point has finished yet.\n"]
    if not scores(frame):
        return ["### Cost", "", _table(table_columns(frame, []))]
    brief = by_turns(frame)[:BRIEF]
    return [
        "### In short",
        "",
        _table(brief_columns(frame, brief)),
        "<details>",
        f"<summary>All costs, all {len(scores(frame))} scores and the worst samples</summary>",
        "",
        *_full_tables(frame),
        "</details>",
        "",
    ]


def _full_tables(frame: pd.DataFrame) -> list[str]:
    title = "### Cost and quality"
    lines = [title, "", _table(table_columns(frame, against_real(frame)))]
    if fidelity(frame):
        columns = fidelity_columns(frame)
        lines += ["### Samples against the reference's of the same seeds", "", _table(columns)]
    return lines


def _table(columns: list[Column]) -> str:
    return to_markdown(strings(columns), ranking(columns))


def _latency(frame: pd.DataFrame) -> list[str]:
    if "latency" not in frame:
        return ["- Latency: not measured"]
    first = frame.iloc[0]
    threads = f", threads: {first['latency.threads']}" if pd.notna(first["latency.threads"]) else ""
    where = f"{first['latency.device']} ({first['latency.kind']}{threads})"
    how = f"batch of {first['latency.batch_size']}, {first['latency.rounds']} interleaved rounds"
    return [f"- Latency: {where}, {how}, decoding apart"]


def _unfinished(frame: pd.DataFrame) -> list[str]:
    return [
        f"{row['label']} (`{row['name']}`): quality {row['status.quality']}, cost {row['status.cost']}"
        f" - {row['reason'] or 'no reason given'}"
        for _, row in unfinished(frame).iterrows()
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


def _listing(title: str, items: Sequence[str]) -> list[str]:
    return [f"### {title}", "", *(f"- {item}" for item in items), ""] if items else []


def _notes(frame: pd.DataFrame) -> list[str]:
    lines = _score_notes() if scores(frame) else []
    lines += [
        "Bold is the best of a column, underlined the second; the reference, and points with its very"
        " samples, do not compete.",
        "MACs are those of the denoiser, per sample, over the whole trajectory, with guidance and with the"
        " attention products. `macs_linear` in table.csv is the papers' convention, without the products.",
        "Speed-up by MACs is what the count allows; speed-up is measured, the median over rounds of the"
        f" reference's time over the point's, {PLUS_MINUS} MAD. The first is no promise of the second.",
    ]
    if frame["parts"].map(len).any():
        lines.append("Points are merged of parts (seed blocks); the records of the parts are not shown.")
    if frame["same_as"].ne("").any():
        lines.append(
            "`(= other)`: this point asks for the same schedule as the other and shares its samples."
        )
    if "at" in frame:
        lines.append(
            "`budget (%)`: the share of the uncached MACs that a point was given (`at`), and in brackets by how many"
            " points its own samples ended above or below it. Static methods are never above; one that decides at"
            f" run time is set on calibration samples, and marked `{OFF}` where it ends further than"
            f" {100 * MISSED:.0f} points away."
        )
    if frame["degenerate"].any():
        lines.append("`(skips nothing)`: the policy found nothing to skip at this setting.")
    if len(measured(frame)) < len(frame):
        lines.append("Points without a cost and without a score are not in the table; they are listed above.")
    return _listing("How to read this", lines)


def _score_notes() -> list[str]:
    return [
        f"Scores are value {PLUS_MINUS} half the width of the 95 % interval (Student's t, standard errors"
        " over the samples of this run). In brackets: the paired difference to the reference on the same"
        " seeds, with its own 95 % interval, not corrected.",
        f"{BETTER} better, {WORSE} worse than the reference: p < {LEVEL} after Holm's correction over the"
        " policies of the table, score by score; points with the same samples count as one policy. No"
        " triangle: no difference was shown, even where an interval excludes 0.",
        "The number after @ in a score's name is its sample count; scores of other counts do not compare.",
        "`worst 5 %`: 5 % of the samples are at least this far from the reference's sample of the same seed;"
        " means hide where caching fails.",
    ]
