"""The run that cached runs are to come near: the uncached one, or a fine one with sub-steps between its steps."""

from collections.abc import Sequence
from typing import NamedTuple

from smoothbench.caching.batch_runs import BatchRuns
from smoothbench.caching.recorded_run import PROBES, RecordedRun, recorded_run, run_of
from smoothbench.caching.schedule import Schedule
from smoothbench.caching.solver_steps import RecognisedSolver, recognised

UNCACHED, FINE = "uncached", "fine"
PLANNED = "planned"  # of a predictor: the target that its schedule was planned with


class Reference(NamedTuple):
    """The uncached run with the solver that was recognised in it, and the run whose states are to be reached."""

    uncached: RecordedRun
    solver: RecognisedSolver
    run: RecordedRun


def reference_run(batch: BatchRuns, target: str, substeps: int) -> Reference:
    """Return the run of the calibration batch that cached runs are to come near, at the uncached run's evaluations.

    Raises ValueError for a fine run of a solver that draws fresh noise: its states are others.
    """
    uncached = recorded_run(batch)
    solver = recognised(uncached)
    if target == UNCACHED:
        return Reference(uncached, solver, uncached)
    if not solver.is_exact:
        raise ValueError(
            f"target={FINE} needs a solver without fresh noise, and a linear step leaves {solver.residual:.0%} of a "
            f"state unexplained here: take target={UNCACHED}"
        )
    return Reference(uncached, solver, run_of(*batch.fine(PROBES, substeps)))


def planned_target(schedule: Schedule, target: str, substeps: int) -> tuple[str, int]:
    """Return the target and sub-steps of a predictor: its own, or for "planned" those of the schedule's plan."""
    if target != PLANNED:
        return target, substeps
    return schedule.meta.get("target", UNCACHED), schedule.meta.get("substeps", substeps)


def check_target(name: str, target: str, substeps: int, targets: Sequence[str] = (UNCACHED, FINE)) -> None:
    """Raise ValueError, naming the class, for an unknown target, and for fewer than 2 sub-steps."""
    if target not in targets:
        raise ValueError(f"{name}'s target is one of {', '.join(targets)}, not {target!r:.60}")
    if type(substeps) is not int or substeps < 2:
        raise ValueError(f"{name}'s substeps must be a whole number from 2, not {substeps!r:.60}")
