"""Delta-DiT (arXiv 2406.01125): reuse what the rear blocks add early in the run, and what the front blocks add late."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from torch import nn

from baselines.checks import check_whole, refuse_unet
from smoothbench.caching import ErrorCurves, Schedule, Site, Trajectory, find_sites


@dataclass(frozen=True)
class DeltaDiT:
    """Delta-DiT computes all blocks at every `interval`-th evaluation, and in between only a part of them.

    In the first share `boundary` of the run it reuses what the last blocks add to the stream, as details come later;
    after that what the first ones add, as outlines are there. The share `blocks` of all is reused. Rule as summarised:
    no code was released, and the paper could not be read; its N, N_c and b are known by name. With the defaults
    its speed-up of 1.6 comes out, the boundary in the middle is ours. Raises ValueError for an interval below 1, for
    shares outside of 0 to 1, and for a denoiser whose blocks cannot be split so.
    """

    interval: int
    blocks: float = 0.75
    boundary: float = 0.5
    needs_curves = False
    name = "delta_dit"
    version = 1
    knob: ClassVar[str] = "interval"

    def __post_init__(self) -> None:
        check_whole("Delta-DiT's interval", self.interval)
        if not (isinstance(self.blocks, int | float) and 0 < self.blocks <= 1):
            raise ValueError(f"Delta-DiT's blocks must be a share above 0 and up to 1, not {self.blocks}")
        if not (isinstance(self.boundary, int | float) and 0 <= self.boundary <= 1):
            raise ValueError(f"Delta-DiT's boundary must be a share from 0 to 1, not {self.boundary}")

    def choose_sites(self, denoiser: nn.Module) -> tuple[Site, ...]:
        """Return the spans between the places where the front blocks end and the rear ones begin; none of a U-Net."""
        refuse_unet("Delta-DiT", denoiser)
        stacks = [_blocks(site) for site in find_sites(denoiser, "span")]
        first, last = stacks[0][0], stacks[-1][1] + 1
        count = self._count(last - first)
        cuts = {first, first + count, last - count, last, *(start for start, _ in stacks)}
        return find_sites(denoiser, "span", [(a, b - 1) for a, b in pairwise(sorted(cuts))])

    def settings(self, trajectory: Trajectory) -> Sequence[int]:
        """Return all intervals with different schedules."""
        return range(1, trajectory.evals + 1)

    def plan(self, trajectory: Trajectory, curves: ErrorCurves | None = None) -> Schedule:
        """Plan a schedule over the spans that `choose_sites` gives."""
        spans = [_blocks(site) for site in trajectory.sites]
        first, last = spans[0][0], spans[-1][1] + 1
        count = self._count(last - first)
        front, rear = [end < first + count for _, end in spans], [start >= last - count for start, _ in spans]
        early = self.boundary * trajectory.evals
        bits = [
            [e % self.interval == 0 or not reused for reused in (rear if e < early else front)]
            for e in range(trajectory.evals)
        ]
        parameters = {"interval": self.interval, "blocks": self.blocks, "boundary": self.boundary}
        return Schedule.of(trajectory.sites, bits, {"method": "delta_dit", **parameters})

    def _count(self, blocks: int) -> int:
        return max(1, round(self.blocks * blocks))


def _blocks(span: Site) -> tuple[int, int]:
    """The numbers of a span's first and last block."""
    first, _, last = span.block_label.partition("-")
    return int(first), int(last)
