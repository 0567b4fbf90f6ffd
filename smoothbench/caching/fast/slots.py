"""What a fast forward keeps: the output of one branch, or the sum that a run of branches adds to the stream."""

from collections.abc import Sequence
from dataclasses import dataclass

from smoothbench.caching.fast.parts import Architecture
from smoothbench.caching.predictor import Weighted
from smoothbench.caching.sites import BRANCH, DENOISER, SPAN, Site

Bits = Sequence[bool]


@dataclass(frozen=True)
class Slot:
    """A place for kept outputs: of branches `first` to `last`, whose sites have the numbers `sites`.

    `is_sum`: it keeps what they add to the stream together, not the output of one branch before its gate.
    """

    first: int
    last: int
    sites: tuple[int, ...]
    is_sum: bool


def find_slots(
    architecture: Architecture,
    sites: Sequence[Site],
    predictors: Sequence[Weighted],
    rows: Sequence[Bits] | None,
) -> list[Slot] | None:
    """Return the slots of these sites, in their order; None where a site is no branch or run of branches.

    `rows` are the bits of a static schedule: consecutive branches without gates that are always reused together then
    share a slot.
    """
    number = {path: i for i, path in enumerate(architecture.paths)}
    slots: list[Slot] = []
    for i, site in enumerate(sites):
        if site.level == DENOISER:  # kept whole, outside of the fast forward
            continue
        span = _branches_of(site, number)
        if span is None or _crosses_a_join(architecture, span):
            return None
        slots.append(Slot(span[0], span[-1], (i,), site.level == SPAN))
    if rows is None or any(slot.is_sum for slot in slots):
        return slots
    return _joined(architecture, slots, predictors, rows)


def _crosses_a_join(architecture: Architecture, span: Sequence[int]) -> bool:
    """Whether branches outside of a run read its inside by long skips; the whole stack has no outside."""
    return len(span) < len(architecture.paths) and any(i in architecture.joins for i in span[1:])


def _branches_of(site: Site, number: dict[str, int]) -> list[int] | None:
    """The numbers of the branches of a site, which are consecutive; None where they are not, or there is none."""
    if site.level == BRANCH:
        return [number[site.path]] if site.path in number else None
    span = [i for path, i in number.items() if path.rpartition(".")[0] in site.blocks]
    consecutive = bool(span) and span == list(range(span[0], span[-1] + 1))
    return span if consecutive else None


def _joined(
    architecture: Architecture, slots: Sequence[Slot], predictors: Sequence[Weighted], rows: Sequence[Bits]
) -> list[Slot]:
    """Join neighbours without gates whose columns of the schedule, and whose predictors, are equal."""
    columns = list(zip(*rows, strict=True))
    joined: list[Slot] = []
    for slot in slots:
        before = joined[-1] if joined else None
        if before is not None and predictors[before.sites[0]] != predictors[slot.sites[0]]:
            joined.append(slot)
        elif before is not None and _together(architecture, columns, before, slot):
            joined[-1] = Slot(before.first, slot.last, before.sites + slot.sites, True)
        else:
            joined.append(slot)
    return joined


def _together(architecture: Architecture, columns: Sequence[Bits], before: Slot, slot: Slot) -> bool:
    column = columns[slot.sites[0]]
    return (
        not architecture.gated[before.last]
        and not architecture.gated[slot.first]
        and slot.first == before.last + 1
        and slot.first not in architecture.joins
        and columns[before.sites[0]] == column
        and not all(column)
    )
