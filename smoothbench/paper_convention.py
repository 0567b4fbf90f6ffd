"""How a paper counts its MACs: what it includes, and for how many rows, so that our count can be held beside it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Self

from smoothbench.caching import Macs, Trajectory
from smoothbench.errors import UsageError, shown
from smoothbench.json_checks import is_text
from smoothbench.storage.record_cost import ComponentCost, PaperCost, Scope

TERA: Final = 1e12
SCOPES: Final[Mapping[Scope, str]] = {  # the layers of the denoiser that each scope counts
    "branches": "the linear layers of attention and MLP",
    "denoiser": "all linear layers and convolutions of the denoiser",
    "pipeline": "all linear layers and convolutions of the denoiser",  # and of the components beside it
}


@dataclass(frozen=True)
class Convention:
    """The convention in which a paper counts the MACs of a trajectory; no paper counts the attention products.

    `scope` is one of SCOPES, and `rows` is the number of rows of the batch that the paper's count is for, guidance
    rows included. `remainder_per_evaluation`, in TMACs, is what the paper's numbers have beside that at every
    evaluation and that no known counter explains. `note` is a line for the report.
    """

    scope: Scope
    rows: int
    remainder_per_evaluation: float
    note: str | None = None

    @classmethod
    def from_config(cls, node: Any) -> Self | None:
        """Check and convert the `paper` node of a configuration; None where there is none.

        Raises UsageError, naming the key, for what is no convention.
        """
        if node is None:
            return None
        known = [member.name for member in fields(cls)]
        if not isinstance(node, Mapping):
            raise UsageError(f"paper={shown(node)}: must be a node with {', '.join(known)}")
        if unknown := [key for key in node if key not in known]:
            raise UsageError(f"paper.{shown(unknown[0])}: there are {', '.join(known)}")
        scope, rows, remainder, note = (node.get(key) for key in known)
        if scope not in tuple(SCOPES):  # it may be a list, which no mapping can look up
            raise UsageError(f"paper.scope={shown(scope)}: there are {', '.join(SCOPES)}")
        if isinstance(rows, bool) or not isinstance(rows, int) or rows < 1:
            raise UsageError(f"paper.rows={shown(rows)}: must be a whole number from 1")
        if isinstance(remainder, bool) or not (
            isinstance(remainder, int | float) and 0 <= remainder < math.inf
        ):
            raise UsageError(
                f"paper.remainder_per_evaluation={shown(remainder)}: must be a number from 0, in TMACs"
            )
        if note is not None and not is_text(note):
            raise UsageError(f"paper.note={shown(note)}: must be a line of text")
        return cls(scope, rows, remainder, note)

    def count(
        self,
        trajectory: Trajectory,
        calls: Mapping[str, float],
        guidance_rows: int,
        components: Mapping[str, Macs] | None = None,
    ) -> PaperCost:
        """Count the TMACs of a trajectory as the paper does, with and without the unexplained remainder.

        Args: calls, at how many evaluations each site is computed, by name; guidance_rows, the denoiser's rows of one
        sample; components, for scope `pipeline`, the MACs of what runs beside the denoiser for one sample: they are
        never multiplied by `rows`, which are rows of the denoiser.
        """
        cost, batch = trajectory.cost(calls), self.rows / guidance_rows
        linear = cost.branches.linear if self.scope == "branches" else cost.linear
        beside = components or {}
        explained = (linear * batch + sum(macs.linear for macs in beside.values())) / TERA
        parts: dict[str, ComponentCost] | None = None
        if self.scope == "pipeline":
            parts = {"denoiser": _tera(Macs(cost.linear, cost.attention), batch)}
            parts |= {name: _tera(macs, 1) for name, macs in beside.items()}
        return PaperCost(
            scope=self.scope,
            rows=self.rows,
            remainder_per_evaluation=self.remainder_per_evaluation,
            tmacs=explained + trajectory.evals * self.remainder_per_evaluation,
            tmacs_explained=explained,
            note=self.note,
            parts=parts,
        )

    def describe(self) -> str:
        """Say in a sentence what is counted."""
        count = f"{self.rows:g} row{'s' if self.rows > 1 else ''}"
        return (
            f"in the paper's convention, {count} through {SCOPES[self.scope]} over the whole"
            " trajectory, no attention products."
        )

    def describe_remainder(self) -> str:
        """Say in a sentence what `tmacs_explained` leaves out."""
        return (
            f"the same without {self.remainder_per_evaluation:g} TMACs an evaluation, cached or not, that fit the"
            " paper's rows and that no known counter explains."
        )


def _tera(macs: Macs, batch: float) -> ComponentCost:
    return ComponentCost(macs.linear * batch / TERA, macs.total * batch / TERA)
