"""Time grids: the timesteps of a run's evaluations, by which what was planned is held against what runs."""

from collections.abc import Sequence

RELATIVE, ABSOLUTE = (
    0.01,
    0.001,
)  # of a timestep, and of the grid's span: what rounding to bfloat16 may change


def numbers(evals: int) -> tuple[float, ...]:
    """What stands for a grid where nobody knows the timesteps: the numbers of the evaluations."""
    return tuple(map(float, range(evals)))


def known(grid: Sequence[float] | None) -> bool:
    """Whether it holds timesteps."""
    return grid is not None and tuple(grid) != numbers(len(grid))


def shown(grid: Sequence[float]) -> str:
    """A grid in a few words."""
    return f"{grid[0]:.6g} to {grid[-1]:.6g} in {len(grid)} evaluations"


def close(planned: Sequence[float], e: int, coordinate: float) -> bool:
    """Whether evaluation `e` of a grid is at this coordinate, but for rounding."""
    span = max(planned) - min(planned)
    return abs(planned[e] - coordinate) <= RELATIVE * abs(planned[e]) + ABSOLUTE * span


def same(planned: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two grids are one, but for rounding; where one holds no timesteps, whether they are equally long."""
    if len(planned) != len(other) or not (known(planned) and known(other)):
        return len(planned) == len(other)
    return all(close(planned, e, coordinate) for e, coordinate in enumerate(other))
