"""The cost of a point over several seed ranges, as the mean over the samples of all."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from smoothbench.storage.record import Record
from smoothbench.storage.record_cost import Cost
from smoothbench.storage.record_parts import Budget


def mean_cost(parts: Sequence[Record]) -> Cost:
    """Return the mean cost of one sample over all parts, each of which must have a cost.

    Parts of a point whose schedule is planned cost the same; those of a policy that decides at run time differ.
    Batches that were halved are counted, not averaged.
    """
    costs = [part.cost for part in parts if part.cost is not None]
    counts = [part.num_samples for part in parts]
    halved = [cost.batches_halved for cost in costs if cost.batches_halved is not None]
    return replace(
        costs[0],
        macs=round(_mean((cost.macs for cost in costs), counts)),
        macs_linear=round(_mean((cost.macs_linear for cost in costs), counts)),
        share=_mean((cost.share for cost in costs), counts),
        by_kind=_mean_by_kind(costs, counts),
        batches_halved=sum(halved) if halved else None,
    )


def mean_budget(parts: Sequence[Record]) -> Budget | None:
    """Return the budget of the first part, with the mean share over the samples of all parts."""
    shares = [part.budget.realised for part in parts if part.budget and part.budget.realised is not None]
    if parts[0].budget is None or len(shares) < len(parts):
        return parts[0].budget
    return replace(parts[0].budget, realised=_mean(shares, [part.num_samples for part in parts]))


def _mean_by_kind(costs: Sequence[Cost], counts: Sequence[int]) -> dict[str, int] | None:
    """The mean MACs of each kind of site; None where a part does not say."""
    by_kind = [cost.by_kind for cost in costs if cost.by_kind is not None]
    if len(by_kind) < len(costs):
        return None
    kinds = dict.fromkeys(kind for each in by_kind for kind in each)
    return {kind: round(_mean((each.get(kind, 0) for each in by_kind), counts)) for kind in kinds}


def _mean(values: Iterable[float], counts: Sequence[int]) -> float:
    """The mean over samples; exactly the value of all parts where they have the same."""
    known = list(values)
    if len(set(known)) == 1:
        return known[0]
    return sum(value * count for value, count in zip(known, counts, strict=True)) / sum(counts)
