"""A row of a paper's table, as a record holds it beside what was measured."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from smoothbench.storage.rules import Matching
from smoothbench.storage.typed_json import Stored

VALUE_NAME = "[a-z][a-z0-9_]*"  # the report makes names of columns from it
ValueName = Annotated[str, Matching(VALUE_NAME, "fid")]


@dataclass(frozen=True)
class PaperValue(Stored):
    """One printed number, the half width of its interval, and how many decimals were printed."""

    value: float
    interval: float | None = None
    decimals: int | None = None


@dataclass(frozen=True)
class PaperRow(Stored):
    """What a paper prints about one setting. `inferred`: the setting is not stated, but follows from its MACs."""

    paper: str
    arxiv: str
    table: str
    row: str
    inferred: bool
    values: Mapping[ValueName, PaperValue]
    note: str | None = None
    num_samples: int | None = None
    hardware: str | None = None
