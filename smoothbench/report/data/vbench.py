"""VBench's own results, imported, and what a paper printed of its total."""

import json
import logging
import math
from pathlib import Path
from typing import Any

import pandas as pd

from smoothbench.interop.vbench.totals import Result, imported_results, totals
from smoothbench.json_checks import explain

log = logging.getLogger(__name__)

SUMS = ("total", "quality", "semantic")


def add_vbench(frame: pd.DataFrame, folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """The frame with `vbench.<dimension>`, `vbench.videos` (the most of a dimension), `vbench.missing` (dimensions)
    and the sums `vbench.total`, `.quality`, `.semantic` of points whose results lie in `vbench/`.

    Only where there are any; a sum of which a dimension is missing is NaN. Also a line for each file that cannot be
    read; a warning names it.
    """
    columns: dict[str, dict[Any, float]] = {}
    ignored = []
    for index, record in frame["record"].items():
        path = folder / "vbench" / f"{record}.json"
        if not path.exists():
            continue
        try:
            numbers = _numbers(imported_results(json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, KeyError, RecursionError) as error:
            ignored.append(f"vbench/{path.name}: {explain(error)}")
            log.warning("ignored %s", ignored[-1])
            continue
        for name, value in numbers.items():
            columns.setdefault(f"vbench.{name}", {})[index] = value
    added = {name: pd.Series(cells, index=frame.index, dtype=float) for name, cells in columns.items()}
    return (pd.concat([frame, pd.DataFrame(added)], axis="columns") if added else frame), ignored


def _numbers(results: dict[str, Result]) -> dict[str, float]:
    values = {name: result.value for name, result in results.items()}
    sums = totals(values)
    known = {name: getattr(sums, name) for name in SUMS}
    return {
        **{name: math.nan if value is None else value for name, value in known.items()},
        "missing": float(len(sums.missing)),
        "videos": float(max((result.videos for result in results.values()), default=0)),
        **values,
    }
