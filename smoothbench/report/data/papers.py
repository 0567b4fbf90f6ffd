"""What a paper printed of a point, and what was computed in its convention, as columns of the frame."""

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pandas as pd

from smoothbench.paper_convention import Convention
from smoothbench.storage.paper_row import PaperRow, PaperValue
from smoothbench.storage.record import Record
from smoothbench.storage.record_cost import PaperCost
from smoothbench.storage.score_entry import ScoreEntry

SOURCE = ("arxiv", "table", "row", "inferred", "note", "num_samples", "hardware", "source")  # of a `reported`
CONVENTION = ("scope", "rows", "tmacs", "tmacs_explained", "remainder_per_evaluation")
PART = "convention.part."  # before the name of each part, where the scope is the pipeline
TOLERANCE = 0.02  # TMACs, beside half of the last printed digit
NO_SCORES = ("tmacs", "latency", "speedup")  # values that are costs
OTHER_N = "other N"


def paper_columns(record: Record) -> dict[str, Any]:
    """`paper`, `paper.<source>`, `reported.<value>` with `.interval`, `.decimals`, `.difference` and `.within`,
    `convention.<...>` (with `convention.part.<...>`, TMACs) and `planned`; only those that the record has.

    Differences are ours minus the paper's. `within` is yes or no: scores lie in the paper's interval, TMACs
    within the tolerance; `other N` for scores of another number of samples.
    """
    columns: dict[str, Any] = {}
    if record.planned is not None:
        columns["planned"] = record.planned
    if (convention := record.cost.paper if record.cost else None) is not None:
        columns |= {f"convention.{key}": getattr(convention, key) for key in CONVENTION}
        columns |= {f"{PART}{key}": each.tmacs for key, each in (convention.parts or {}).items()}
        columns |= {"convention.note": convention.note} if convention.note else {}
    if (reported := record.reported) is not None:
        sources = {key: getattr(reported, key) for key in SOURCE}
        columns["paper"] = reported.paper
        columns |= {f"paper.{key}": each for key, each in sources.items() if each is not None}
        for key, value in reported.values.items():
            columns |= _printed(f"reported.{key}", value)
        columns |= _costs(reported, convention) | _scores(reported, record.scores)
    return columns


def convention_of(row: pd.Series) -> Convention:
    """Return the convention of a row of the frame that has one: of its columns `convention.<...>`."""
    note = row.get("convention.note")
    return Convention(
        row["convention.scope"],
        int(row["convention.rows"]),
        float(row["convention.remainder_per_evaluation"]),
        note if isinstance(note, str) else None,
    )


def _printed(name: str, value: PaperValue) -> dict[str, Any]:
    return {
        name: float(value.value),
        f"{name}.interval": math.nan if value.interval is None else float(value.interval),
        f"{name}.decimals": _decimals(value),
    }


def _decimals(value: PaperValue) -> int:
    """Those that were printed; where nobody says, those that the number needs."""
    if value.decimals is not None:
        return value.decimals
    exponent = Decimal(str(value.value)).normalize().as_tuple().exponent
    return max(-int(exponent), 0)


def _costs(reported: PaperRow, convention: PaperCost | None) -> dict[str, Any]:
    printed = reported.values.get("tmacs")
    if convention is None or printed is None:
        return {}
    tolerance = TOLERANCE + 0.5 * 10.0 ** -_decimals(printed)
    return _compared("tmacs", convention.tmacs - printed.value, tolerance)


def _scores(reported: PaperRow, scores: Mapping[str, ScoreEntry]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for name, score in scores.items():
        key, _, count = name.partition("@")
        printed = reported.values.get(key)
        if printed is None or key in NO_SCORES:
            continue
        columns |= _compared(key, score.value - printed.value, printed.interval)
        if reported.num_samples is not None and int(count) != reported.num_samples:
            columns[f"reported.{key}.within"] = OTHER_N
    return columns


def _compared(key: str, difference: float, tolerance: float | None) -> dict[str, Any]:
    """Without a tolerance there is no verdict; the last bits of printed decimals decide nothing."""
    columns: dict[str, Any] = {f"reported.{key}.difference": difference}
    if tolerance is not None:
        columns[f"reported.{key}.within"] = "yes" if abs(difference) <= tolerance + 1e-9 else "no"
    return columns
