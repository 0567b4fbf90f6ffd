"""Predict by calibrated weights: a weighted sum of the kept outputs, with weights for each site and evaluation."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite
from typing import Any, ClassVar

from smoothbench.caching import grid
from smoothbench.caching.json_objects import is_number
from smoothbench.caching.predictor import Predictor, Weighted
from smoothbench.caching.sites import Site

Rows = Sequence[Sequence[float]]  # for each evaluation, the weights of the kept outputs, the newest first


@dataclass(frozen=True)
class WeightedSum:
    """Adds up the kept outputs with weights from a table: `table[site][e]` holds those of evaluation e.

    The newest output comes first; a list may be empty where its evaluation is computed. Where fewer outputs are kept
    than a list has weights, the newest is repeated. All sites have the weights of the key "*", where there is one
    and none of their own. `timesteps` are those of the run that the weights were fitted to, where they were.
    Raises ValueError for a table without weights, and for tables of different lengths.
    """

    table: Mapping[str, Rows]
    timesteps: Sequence[float] | None = None
    coordinate: str = field(default="index", init=False)
    name = "weighted_sum"
    version = 1
    digested: ClassVar[tuple[str, ...]] = ("table", "timesteps")

    def __post_init__(self) -> None:
        lengths = {len(rows) for rows in self.table.values()}
        if len(lengths) != 1 or 0 in lengths:
            raise ValueError(
                f"weights are lists of equally many evaluations for each site, not of {sorted(lengths)}"
            )
        if not all(isfinite(w) for rows in self.table.values() for row in rows for w in row):
            raise ValueError("weights must be finite")
        if self.timesteps is not None and len(self.timesteps) != self.evals:
            raise ValueError(f"weights of {self.evals} evaluations with {len(self.timesteps)} timesteps")

    @cached_property
    def depth(self) -> int:
        """The largest number of outputs that a site is predicted from."""
        return max(1, *(len(row) for rows in self.table.values() for row in rows))

    @property
    def evals(self) -> int:
        """The number of evaluations that the table is for."""
        return len(next(iter(self.table.values())))

    @property
    def digest(self) -> str:
        """The sha256 of the table."""
        table = {site: [list(map(float, row)) for row in rows] for site, rows in self.table.items()}
        return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()

    def lacking(self, site: str, e: int) -> bool:
        """Whether there are no weights to predict a site's output at an evaluation."""
        rows = self.table.get(site) or self.table.get("*")
        return not rows or not rows[e]

    def to_json(self) -> dict[str, Any]:
        """Return the weights as JSON: `table` maps a site, or "*", to the weights of each evaluation."""
        timesteps = {} if self.timesteps is None else {"timesteps": list(map(float, self.timesteps))}
        table = {site: [list(map(float, row)) for row in rows] for site, rows in self.table.items()}
        return {"form": self.name, "version": self.version, **timesteps, "table": table}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "WeightedSum":
        """Read what `to_json` gives; ValueError where it is something else."""
        table, timesteps = data.get("table"), data.get("timesteps")
        if not isinstance(table, Mapping) or not all(_are_rows(rows) for rows in table.values()):
            raise ValueError(
                "the table of its weights must map sites to a list of numbers for each evaluation"
            )
        if timesteps is not None and not _are_numbers(timesteps):
            raise ValueError("the timesteps of its weights must be a list of finite numbers")
        return cls(table, timesteps)

    def bind(self, sites: Sequence[Site], evals: int | None) -> Sequence[Predictor]:
        """Return the weighted sum of each site; ValueError where the table is for other sites or evaluations."""
        if evals != self.evals:
            known = "an unknown number of evaluations" if evals is None else f"{evals} evaluations"
            raise ValueError(f"the weights are for {self.evals} evaluations, but the run has {known}")
        names = {site.name for site in sites}
        if strange := [name for name in self.table if name != "*" and name not in names]:
            raise ValueError(
                f"the weights are for site {strange[0]}, but the run has {sites[0].name} to {sites[-1].name}"
            )
        if "*" not in self.table and (absent := [s.name for s in sites if s.name not in self.table]):
            raise ValueError(
                f"the weights are for {', '.join(list(self.table)[:3])}, and none are for site {absent[0]}"
            )
        return [SiteWeights(self.table.get(site.name) or self.table["*"]) for site in sites]


def _are_rows(rows: Any) -> bool:
    return isinstance(rows, list) and all(map(_are_numbers, rows))


def _are_numbers(row: Any) -> bool:
    return isinstance(row, list) and all(map(is_number, row))


def timesteps_of(predictor: object, planned: Sequence[float] | None) -> Sequence[float] | None:
    """Return the timesteps that a schedule is planned for, or else those that its weights are fitted to.

    Raises ValueError where a schedule and weights are for different ones.
    """
    fitted = predictor.timesteps if isinstance(predictor, WeightedSum) else None
    if fitted is None or planned is None:
        return planned if fitted is None else fitted
    if not grid.same(fitted, planned):
        raise ValueError(
            f"the weights were fitted to timesteps {grid.describe(fitted)}, but the schedule was planned for "
            f"{grid.describe(planned)}: fit them to this schedule"
        )
    return planned


@dataclass(frozen=True)
class SiteWeights(Weighted):
    """The weighted sum of one site, by its own lists of weights."""

    rows: Rows
    coordinate: str = "index"

    @cached_property
    def depth(self) -> int:
        """The largest number of outputs that it needs."""
        return max(1, *map(len, self.rows))

    def weights(self, coordinates: Sequence[float], now: float) -> list[float]:
        """Return the weight of each kept output, given their evaluations, the newest first, and the present one."""
        row = list(self.rows[round(now)])
        missing = len(coordinates) - len(row)
        if not row or missing < 0:
            return [1.0, *[0.0] * (len(coordinates) - 1)]
        return row + [0.0] * missing
