"""What a record must hold: checked once for the run that goes on from it and the report that shows it."""

import json
import math
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from smoothbench.errors import UsageError, one_line

SCHEMA = 3  # of records
BY_PLACE = 2  # of those whose ids hold import paths and the paths of files
STATUSES = ("done", "failed", "skipped")
NOTHING = type(None)
FIELDS: Mapping[str, tuple[type, ...]] = MappingProxyType(  # of a record, and their types
    dict.fromkeys(("point_id", "cell_id", "sample_id", "reference_id"), (str,))
    | dict.fromkeys(("experiment", "name", "label", "family"), (str,))
    | dict.fromkeys(("same_as", "reason"), (str, NOTHING))
    | dict.fromkeys(("order", "num_samples"), (int,))
    | dict.fromkeys(("reference", "degenerate"), (bool,))
    | dict.fromkeys(("seeds", "parts"), (list,))
    | dict.fromkeys(("status", "model", "numerics", "solver", "scores", "provenance"), (dict,))
    | dict.fromkeys(("calibration", "schedule", "cost"), (dict, NOTHING))
    | {"predictor": (str, dict)}
)
SCORE: Mapping[str, tuple[type, ...]] = MappingProxyType(  # of a score in a record, and their types
    {"delta": (dict, NOTHING), "quantiles": (dict, NOTHING), "blocks": (list, NOTHING)}
    | {"n": (int,), "higher_is_better": (bool,), "flag": (str, NOTHING), "config_hash": (str,)}
)
CONDITIONS = ("device", "kind", "threads", "batch_size", "rounds")  # of a latency.json
MEASURED = ("median", "mad", "decode_median", "peak_bytes", "cache_bytes")  # of each of its points


def refuse_by_place(folder: Path) -> None:
    """UsageError where a results folder holds records whose ids say where code and files lay."""
    for path in sorted((folder / "records").glob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):  # whoever reads it says so
            continue
        if isinstance(record, dict) and record.get("schema") == BY_PLACE:
            raise UsageError(
                f"{folder}: its results are of an earlier version, which named them by the places of code: "
                f"python -m smoothbench.migrate {shlex.quote(str(folder))}, then the same command again"
            )


def check_record(record: Any) -> None:
    """Raise ValueError, or KeyError for what is missing, where data are no record of this schema.

    What passes has every field, of its type, so that neither a run nor a report stumbles over it.
    """
    require(record, "record", dict)
    if require(record["schema"], "schema", int) != SCHEMA:
        raise ValueError(f"its schema is {record['schema']}, this version reads {SCHEMA}: run it again")
    for key, types in FIELDS.items():
        require(record[key], key, *types)
    for stage in ("quality", "cost"):
        if (found := record["status"][stage]) not in STATUSES:
            raise ValueError(f"its status of {stage} is {found!r}, not one of {', '.join(STATUSES)}")
    _texts(record["parts"], "parts")
    _texts([record["model"]["name"], record["solver"]["name"]], "name of the model or the solver")
    require(record["solver"]["steps"], "solver.steps", int)
    if record["model"].get("guidance") is not None:
        number(record["model"]["guidance"], "model.guidance")
    _check_seeds(record["seeds"], record["num_samples"])
    said = record.get("captions") or {}
    if not isinstance(said, dict) or not all(s.isdecimal() and isinstance(t, str) for s, t in said.items()):
        raise ValueError("its captions are not texts by seed")
    if record["schedule"] is not None:
        _check_schedule(record["schedule"])
    if record["cost"] is not None or record["status"]["cost"] == "done":
        _check_cost(require(record["cost"], "cost", dict))
    for name, score in record["scores"].items():
        _check_score(name, score)


def check_latency(latency: Mapping[str, Any]) -> None:
    """Raise ValueError, or KeyError for what is missing, where a latency.json is not whole."""
    for key in CONDITIONS:
        require(latency[key], key, str, int)
    for name, point in require(latency["points"], "points", dict).items():
        require(point, name, dict)
        for key in ("seconds", "reference_seconds"):
            seconds = [number(value, f"{name}.{key}") for value in require(point[key], f"{name}.{key}", list)]
            if not seconds or min(seconds) <= 0:
                raise ValueError(f"its {name}.{key} are not times above 0")
        for key in MEASURED:
            if point.get(key) is not None:
                number(point[key], f"{name}.{key}")


def number(value: Any, name: str) -> float:
    """A finite number; ValueError, naming it, for anything else."""
    try:
        found = float(require(value, name, int, float))
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise ValueError(f"its {name} is {str(value)[:40]}, not a finite number")
    return found


def explain(error: Exception) -> str:
    """What is wrong with a file, in one line."""
    return f"it has no {error}" if isinstance(error, KeyError) else one_line(error)


def require(value: Any, name: str, *types: type) -> Any:
    """The value, or a ValueError where it is of none of the types; a bool is no number."""
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise ValueError(f"its {name} is {str(value)[:40]!r}, not of type {types[0].__name__}")
    return value


def _texts(values: Any, name: str) -> list[str]:
    return [require(value, name, str) for value in require(values, name, list)]


def _check_seeds(ranges: Any, count: int) -> None:
    pairs = [[require(end, "seeds", int) for end in require(each, "seeds", list)] for each in ranges]
    ends = [end for pair in pairs for end in pair]
    rising = all(len(pair) == 2 and 0 <= pair[0] < pair[1] for pair in pairs) and ends == sorted(ends)
    if not pairs or not rising or sum(stop - first for first, stop in pairs) != count:
        raise ValueError(f"its seeds {str(ranges)[:80]} are not {count} samples in rising half-open ranges")


def _check_schedule(schedule: Mapping[str, Any]) -> None:
    sites, kinds, rows = (_texts(schedule[key], f"schedule.{key}") for key in ("sites", "kinds", "rows"))
    if len(kinds) != len(sites) or any(len(row) != len(sites) or row.strip("01") for row in rows):
        raise ValueError(f"its schedule has {len(sites)} sites and kinds or rows of other lengths")


def _check_cost(cost: Mapping[str, Any]) -> None:
    for key in ("macs", "macs_linear", "share", "evals"):
        if number(cost[key], f"cost.{key}") <= 0:
            raise ValueError(f"its cost.{key} is {cost[key]}, not above 0")
    for kind, macs in (require(cost.get("by_kind"), "cost.by_kind", dict, NOTHING) or {}).items():
        number(macs, f"cost.by_kind.{kind}")


def _check_score(name: str, score: Any) -> None:
    if not re.fullmatch(r"[\w-]+@[0-9]+", name):  # the report makes names of columns from it
        raise ValueError(f"it has a score {name[:40]!r}, not named like fd_nano@256")
    require(score, name, dict)
    for key, types in SCORE.items():
        require(score[key], f"{name}.{key}", *types)
    numbers = {"": score["value"]} | {f".{key}": score[key] for key in ("se", "low", "high")}
    numbers |= {f".q{level}": value for level, value in (score["quantiles"] or {}).items()}
    if score["delta"] is not None:
        numbers |= {f".delta.{key}": score["delta"][key] for key in ("value", "se", "low", "high", "p")}
    for key, value in [*numbers.items(), *((".blocks", value) for value in score["blocks"] or [])]:
        number(value, f"{name}{key}")
    if not 0 <= numbers.get(".delta.p", 0) <= 1:
        raise ValueError(f"its {name}.delta.p is {numbers['.delta.p']}, no probability")
