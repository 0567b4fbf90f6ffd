"""What a paper printed of a point, and what was computed in its convention, as columns of the frame."""

import math
from decimal import Decimal
from typing import Any

from smoothbench.reported import check_papers

SOURCE = ("arxiv", "table", "row", "inferred", "note", "num_samples", "hardware")  # of a `reported`
CONVENTION = ("scope", "rows", "tmacs", "tmacs_explained", "remainder_per_evaluation")
PART = "convention.part."  # before the name of each part, where the scope is the pipeline
TOLERANCE = 0.02  # TMACs, beside half of the last printed digit
NO_SCORES = ("tmacs", "latency", "speedup")  # values that are costs
OTHER_N = "other N"


def paper_columns(record: dict[str, Any]) -> dict[str, Any]:
    """`paper`, `paper.<source>`, `reported.<value>` with `.interval`, `.decimals`, `.difference` and `.within`,
    `convention.<...>` (with `convention.part.<...>`, TMACs) and `planned`; only those that the record has.

    Differences are ours minus the paper's. `within` is yes or no: scores lie in the paper's interval, TMACs
    within the tolerance; `other N` for scores of another number of samples. ValueError or KeyError where the
    record's `reported` or `cost.paper` are damaged.
    """
    check_papers(record)
    columns: dict[str, Any] = {}
    if record.get("planned") is not None:
        columns["planned"] = record["planned"]
    if (convention := (record["cost"] or {}).get("paper")) is not None:
        columns |= {f"convention.{key}": convention[key] for key in CONVENTION}
        columns |= {f"{PART}{key}": each["tmacs"] for key, each in (convention.get("parts") or {}).items()}
        columns |= {"convention.note": convention["note"]} if convention.get("note") else {}
    if (reported := record.get("reported")) is not None:
        columns["paper"] = reported["paper"]
        columns |= {f"paper.{key}": reported[key] for key in SOURCE if reported.get(key) is not None}
        for key, value in reported["values"].items():
            columns |= _printed(f"reported.{key}", value)
        columns |= _costs(reported["values"], convention) | _scores(reported, record["scores"])
    return columns


def _printed(name: str, value: dict[str, Any]) -> dict[str, Any]:
    interval = value.get("interval")
    return {
        name: float(value["value"]),
        f"{name}.interval": math.nan if interval is None else float(interval),
        f"{name}.decimals": _decimals(value),
    }


def _decimals(value: dict[str, Any]) -> int:
    """Those that were printed; where nobody says, those that the number needs."""
    if value.get("decimals") is not None:
        return int(value["decimals"])
    exponent = Decimal(str(value["value"])).normalize().as_tuple().exponent
    return max(-int(exponent), 0)


def _costs(values: dict[str, Any], convention: dict[str, Any] | None) -> dict[str, Any]:
    if convention is None or "tmacs" not in values:
        return {}
    difference = convention["tmacs"] - values["tmacs"]["value"]
    tolerance = TOLERANCE + 0.5 * 10.0 ** -_decimals(values["tmacs"])
    return _compared("tmacs", difference, tolerance)


def _scores(reported: dict[str, Any], scores: dict[str, Any]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    wanted = reported.get("num_samples")
    for name, score in scores.items():
        key, _, count = name.partition("@")
        value = reported["values"].get(key)
        if value is None or key in NO_SCORES:
            continue
        columns |= _compared(key, score["value"] - value["value"], value.get("interval"))
        if wanted is not None and int(count) != wanted:
            columns[f"reported.{key}.within"] = OTHER_N
    return columns


def _compared(key: str, difference: float, tolerance: float | None) -> dict[str, Any]:
    """Without a tolerance there is no verdict; the last bits of printed decimals decide nothing."""
    columns: dict[str, Any] = {f"reported.{key}.difference": difference}
    if tolerance is not None:
        columns[f"reported.{key}.within"] = "yes" if abs(difference) <= tolerance + 1e-9 else "no"
    return columns
