"""A row of a paper's table, which a record keeps for comparison with the measured scores."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from smoothbench.storage.json_rules import Matching
from smoothbench.storage.typed_json import Stored

VALUE_NAME = "[a-z][a-z0-9_]*"  # the report's columns are named after it
ValueName = Annotated[str, Matching(VALUE_NAME, "fid")]


@dataclass(frozen=True)
class PaperValue(Stored):
    """One number of a paper, the half width of its interval, and how many decimals the paper gives."""

    value: float
    interval: float | None = None
    decimals: int | None = None


@dataclass(frozen=True)
class PaperRow(Stored):
    """The numbers that a paper reports for one setting; `inferred`: it does not state the setting, its MACs tell it.

    `source` says whether they were read in a paper or in somebody's note on it, `base` what the same table has for no
    cache.
    """

    unwritten: ClassVar[tuple[str, ...]] = ("source", "base")

    paper: str
    arxiv: str
    table: str
    row: str
    inferred: bool
    values: Mapping[ValueName, PaperValue]
    note: str | None = None
    num_samples: int | None = None
    hardware: str | None = None
    source: Literal["paper", "note"] | None = None
    base: Mapping[ValueName, PaperValue] | None = None
