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

    `targets` are the reused evaluations by the computed one whose outputs they need, `sources` the other way round, the
    newest first. `predictors` are those of the branches, and `nows` the coordinates as these count them. `depth` is
    the largest number of outputs that a branch is predicted from.
    """

    targets: Mapping[int, Sequence[int]]
    sources: Mapping[int, Sequence[int]]
    predictors: Sequence[Weighted]
    nows: Sequence[float]
    depth: int

    def weights(self, computed: int, reused: int) -> list[float]:
        """Return the weight of every branch's output of a computed evaluation in a reused one."""
        sources, known = self.sources[reused], dict[int, float]()
        for predictor in self.predictors:
            if id(predictor) not in known:  # mostly there is one
                at = tuple(self.nows[c] for c in sources[: predictor.depth])
                place = sources.index(computed)
                known[id(predictor)] = (
                    predictor.weights(at, self.nows[reused])[place] if place < len(at) else 0.0
                )
        return [known[id(predictor)] for predictor in self.predictors]


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
    sources, targets, past = dict[int, Sequence[int]](), defaultdict[int, list[int]](list), list[int]()
    for e, bits in enumerate(rows):
        if bits is None:
            return None
        of_branches = bits if len(bits) == len(site_numbers) else [bits[i] for i in site_numbers]
        if of_branches.count(of_branches[0]) < len(site_numbers):
            return None
        if of_branches[0]:
            past.append(e)
            continue
        sources[e] = past[: -depth - 1 : -1]
        for c in sources[e]:
            targets[c].append(e)
    if not sources:
        return None
    by_index = predictors[0].coordinate == "index"
    nows = grid.evaluation_numbers(len(rows)) if by_index else coordinates
    return Gaps(dict(targets), sources, predictors, nows, depth)
