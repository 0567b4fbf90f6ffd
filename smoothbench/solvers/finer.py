"""Refine a solver's time grid: several sub-steps in place of each step."""

from dataclasses import is_dataclass, replace
from typing import Any, cast

from smoothbench.protocols import Solver


def finer(solver: Solver, substeps: int) -> Solver:
    """Return a solver with so many sub-steps for each step, whose grid holds all timesteps of the given one's.

    The last step, to the finished sample, may stay as it is. Raises ValueError where the solver has no such grid.
    """
    steps: Any = getattr(solver, "steps", None)
    coordinates = solver.coordinates
    if is_dataclass(solver) and isinstance(steps, int):
        for more in ((steps - 1) * substeps + 1, steps * substeps):
            try:
                candidate: Any = replace(solver, steps=more)
                passed = candidate.coordinates[::substeps][: len(coordinates)]
            except ValueError:  # more steps than the solver can take
                continue
            if passed == coordinates:
                return cast(Solver, candidate)
    raise ValueError(
        f"{type(solver).__name__} has no grid with {substeps} sub-steps that passes through its {len(coordinates)} "
        "timesteps: take other substeps, or target=uncached"
    )
