"""The gaps of a static schedule: evaluations that reuse every branch, and the computed ones that they reuse."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from smoothbench.caching import grid
from smoothbench.caching.fast.parts import Architecture
from smoothbench.caching.fast.slots import Bits, Slot
from smoothbench.caching.predictor import Weighted


@dataclass(frozen=True)
class Gaps:
    """Says of which computed evaluations the outputs go where, in a run that computes every branch or none.

    `targets` are the reused evaluations by the computed one whose outputs they need, and `weights` of each of them the
    weights of these outputs, by branch; `nows` are the coordinates as predictors count them. `depth` is the largest
    number of outputs that a branch is predicted from.
    """

    targets: Mapping[int, Sequence[int]]
    weights: Mapping[int, Sequence[Sequence[float]]]
    nows: Sequence[float]
    depth: int


def find_gaps(
    architecture: Architecture,
    slots: Sequence[Slot],
    predictors: Sequence[Weighted],
    rows: Sequence[Bits | None],
    coordinates: Sequence[float],
) -> Gaps | None:
    """Return the gaps of a schedule; None where an evaluation computes some branches alone, or nothing is reused.

    Args: predictors, those of the slots; rows, the bits of the sites by evaluation; coordinates, the timesteps.
    """
    if [(slot.first, slot.is_sum) for slot in slots] != [(i, False) for i in range(len(architecture.paths))]:
        return None
    if architecture.joins or not all(architecture.gated) or any(architecture.bare):
        return None
    site_numbers = [slot.sites[0] for slot in slots]
    depth = max(predictor.depth for predictor in predictors)
    by_index = predictors[0].coordinate == "index"
    nows = grid.evaluation_numbers(len(rows)) if by_index else coordinates
    targets, weights = defaultdict[int, list[int]](list), defaultdict[int, list[list[float]]](list)
    past = list[int]()
    for e, bits in enumerate(rows):
        if bits is None:
            return None
        of_branches = bits if len(bits) == len(site_numbers) else [bits[i] for i in site_numbers]
        if of_branches.count(of_branches[0]) < len(site_numbers):
            return None
        if of_branches[0]:
            past.append(e)
            continue
        sources = past[: -depth - 1 : -1]  # the newest first
        of_sources = _weights(predictors, [nows[c] for c in sources], nows[e])
        for c, of_source in zip(sources, of_sources, strict=True):
            targets[c].append(e)
            weights[c].append(of_source)
    return Gaps(dict(targets), dict(weights), nows, depth) if targets else None


def _weights(predictors: Sequence[Weighted], at: Sequence[float], now: float) -> list[list[float]]:
    """The weights, by branch, of each of the outputs that were computed at the coordinates `at`."""
    known = dict[int, list[float]]()
    for predictor in predictors:
        if id(predictor) not in known:  # mostly there is one
            of_newest = list(predictor.weights(at[: predictor.depth], now))
            known[id(predictor)] = of_newest + [0.0] * (len(at) - len(of_newest))
    return [
        list(of_source) for of_source in zip(*(known[id(predictor)] for predictor in predictors), strict=True)
    ]
