"""Numbers that hold for one time grid alone, and are refused on another."""

from collections.abc import Sequence

from smoothbench.caching import Evaluation, grid


def mismatch(what: str, known: Sequence[float], coordinates: Sequence[float]) -> str | None:
    """Say in one line why something for `known` timesteps does not fit a run's; None where it does."""
    if grid.same(known, coordinates):
        return None
    return f"{what} is for timesteps {grid.describe(known)}, and the run's are {grid.describe(coordinates)}"


def check_place(what: str, known: Sequence[float], evaluation: Evaluation) -> None:
    """Raise ValueError where a run has more or fewer evaluations than `known`, or this one at another timestep."""
    e, place = evaluation.e, evaluation.coordinate
    if evaluation.evals not in (None, len(known)) or e >= len(known):
        raise ValueError(f"{what} is for {len(known)} evaluations, not for {evaluation.evals or e + 1}")
    if place is not None and grid.has_timesteps(known) and not grid.is_close(known, e, place):
        raise ValueError(
            f"{what} is for timestep {known[e]:.6g} at evaluation {e}, and the run is at {place:.6g}"
        )
