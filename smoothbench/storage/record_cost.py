"""The cost of a point, as its record holds it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from smoothbench.storage.json_rules import Above
from smoothbench.storage.paper_row import ValueName
from smoothbench.storage.typed_json import Stored

Scope = Literal["branches", "denoiser", "pipeline"]  # what a paper's MACs are computed over


@dataclass(frozen=True)
class ComponentCost(Stored):
    """TMACs of one component of a pipeline, in the paper's convention and with the attention products."""

    tmacs: float
    tmacs_with_attention: float


@dataclass(frozen=True)
class PaperCost(Stored):
    """TMACs of a trajectory counted as a paper counts them, with and without the part that nobody can explain."""

    unwritten: ClassVar[tuple[str, ...]] = ("note", "parts")

    scope: Scope
    rows: int
    remainder_per_evaluation: float
    tmacs: float
    tmacs_explained: float
    note: str | None = None
    parts: Mapping[ValueName, ComponentCost] | None = None


@dataclass(frozen=True)
class Cost(Stored):
    """MACs of a whole trajectory for one sample, and their share of the uncached reference's.

    `batches_halved`: how often a batch was split because it did not fit into memory.
    """

    unwritten: ClassVar[tuple[str, ...]] = ("batches_halved",)

    macs: Annotated[int, Above(0)]
    macs_linear: Annotated[int, Above(0)]
    share: Annotated[float, Above(0)]
    evals: Annotated[int, Above(0)]
    by_kind: Mapping[str, int] | None = None
    paper: PaperCost | None = None
    batches_halved: int | None = None
