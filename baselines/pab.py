"""Pyramid Attention Broadcast (arXiv 2408.12588): each kind of attention is computed once in a window of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from baselines.checks import check_whole
from smoothbench.caching import ErrorCurves, Schedule, Trajectory
from smoothbench.caching.grid import has_timesteps


@dataclass(frozen=True)
class PAB:
    """PAB computes an attention once in a window of evaluations and reuses it in the rest, in the middle of the run.

    In the timesteps `low` < t < `high`, on a scale to 1000, an attention is computed at the evaluations that its window
    divides, outside of them at all (section 3.2). Attention over time has the window `temporal`, to the prompt `cross`,
    any other `spatial`; `stretch` multiplies them (rounded, at least 1). Defaults are those of VideoSys for Open-Sora.
    Its MLP broadcast, listed for timesteps of one grid, is left out, as diffusers does. Where a grid holds noise
    levels, their logarithms or evaluations in place of timesteps, these are taken to fall evenly. Raises ValueError for
    a window below 1, a negative stretch, and bounds that are not 0 <= low < high.
    """

    spatial: int = 2
    temporal: int = 4
    cross: int = 6
    low: float = 450
    high: float = 930
    stretch: float = 1.0
    needs_curves = False
    name = "pab"
    version = 1
    knob: ClassVar[str] = "stretch"

    def __post_init__(self) -> None:
        for key in ("spatial", "temporal", "cross"):
            check_whole(f"PAB's window {key}", getattr(self, key))
        if not (isinstance(self.stretch, int | float) and 0 <= self.stretch < float("inf")):
            raise ValueError(f"PAB's stretch must be at least 0 and finite, not {self.stretch}")
        if not 0 <= self.low < self.high:
            raise ValueError(
                f"PAB's timesteps must be 0 <= low < high, not low {self.low} and high {self.high}"
            )

    def settings(self, trajectory: Trajectory) -> Sequence[float]:
        """Return the stretches at which a window becomes longer, from 0, at which all are 1."""
        windows = {self.spatial, self.temporal, self.cross}
        longer = {(n - 0.5) / window for window in windows for n in range(2, trajectory.evals + 1)}
        return [0.0, *sorted(longer)]

    def plan(self, trajectory: Trajectory, curves: ErrorCurves | None = None) -> Schedule:
        """Plan a schedule that computes the attention branches of a kind together, and all others always."""
        times = thousandths(trajectory.coordinates)
        windows = [self._window(site.kind) for site in trajectory.sites]
        bits = [
            [not self.low < t < self.high or e % window == 0 for window in windows]
            for e, t in enumerate(times)
        ]
        keys = ("spatial", "temporal", "cross", "low", "high", "stretch")
        meta: dict[str, Any] = {key: getattr(self, key) for key in keys}
        return Schedule.of(trajectory.sites, bits, {"method": "pab", **meta})

    def _window(self, kind: str) -> int:
        """The window of a kind of branch: 1 for what is no attention."""
        if not kind.endswith(("self_attn", "cross_attn")):
            return 1
        over_time = "temporal" if kind.startswith("temporal") else "spatial"
        published: int = getattr(self, "cross" if kind.endswith("cross_attn") else over_time)
        return max(1, int(self.stretch * published + 0.5 + 1e-9))


def thousandths(grid: Sequence[float]) -> list[float]:
    """Return a grid on a scale to 1000: evenly falling where it holds noise levels or numbers of evaluations.

    Whole numbers up to 1000 are timesteps. Other grids hold noise levels where the middle is small, and their
    logarithms where some are negative.
    """
    are_timesteps = all(t == int(t) and 0 <= t <= 1000 for t in grid)
    falls_fast = grid[len(grid) // 2] < 0.25 * grid[0] and grid[-1] > 0
    noise_levels = not are_timesteps and (falls_fast or min(grid) < 0)
    if noise_levels or not has_timesteps(grid):
        return [1000 * (1 - e / len(grid)) for e in range(len(grid))]
    return [t * (1000 if grid[0] <= 1 else 1) for t in grid]
