"""Time grids: the timesteps of a run's evaluations, by which what was planned is held against what runs."""

from collections.abc import Sequence

SLACK = 0.01  # of a grid's span: what rounding to bfloat16 may do to a timestep


def shown(grid: Sequence[float]) -> str:
    """A grid in a few words."""
    return f"{grid[0]:.6g} to {grid[-1]:.6g} in {len(grid)} evaluations"


def close(planned: Sequence[float], e: int, coordinate: float) -> bool:
    """Whether evaluation `e` of a grid is at this coordinate, but for rounding."""
    span = max(planned) - min(planned) or abs(planned[0])
    return abs(planned[e] - coordinate) <= SLACK * span


def same(planned: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two grids are one, but for rounding."""
    return len(planned) == len(other) and all(
        close(planned, e, coordinate) for e, coordinate in enumerate(other)
    )
