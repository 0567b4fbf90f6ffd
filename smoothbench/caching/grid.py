"""Time grids: the timesteps of a run's evaluations; a plan's are compared with those of the run."""

from collections.abc import Sequence

# what rounding to bfloat16 may change, as a share of a timestep and of the grid's span
RELATIVE, ABSOLUTE = 0.01, 0.001


def evaluation_numbers(evals: int) -> tuple[float, ...]:
    """The grid of a run whose timesteps are not known: the numbers of its evaluations, 0, 1, ..."""
    return tuple(map(float, range(evals)))


def has_timesteps(grid: Sequence[float] | None) -> bool:
    """Whether a grid holds timesteps, not only the numbers of evaluations."""
    return grid is not None and tuple(grid) != evaluation_numbers(len(grid))


def describe(grid: Sequence[float]) -> str:
    """A grid in a few words, for messages."""
    return f"{grid[0]:.6g} to {grid[-1]:.6g} in {len(grid)} evaluations"


def is_close(planned: Sequence[float], e: int, coordinate: float) -> bool:
    """Whether evaluation `e` of a grid is at this coordinate, up to rounding."""
    span = max(planned) - min(planned)
    return abs(planned[e] - coordinate) <= RELATIVE * abs(planned[e]) + ABSOLUTE * span


def same(planned: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two grids are equal up to rounding; if one holds no timesteps, whether they are equally long."""
    if len(planned) != len(other) or not (has_timesteps(planned) and has_timesteps(other)):
        return len(planned) == len(other)
    return all(is_close(planned, e, coordinate) for e, coordinate in enumerate(other))


def refuse_other(planned: Sequence[float] | None, e: int, now: float | None) -> None:
    """Raise ValueError where evaluation `e` starts at another timestep than the schedule was planned for."""
    if planned is None or now is None or now == planned[e] or is_close(planned, e, now):
        return
    raise ValueError(
        f"the schedule was planned for timesteps {describe(planned)}, evaluation {e} at "
        f"{planned[e]:.6g}, but the run is at {now:.6g}: calibrate and plan with the settings of this run"
    )
