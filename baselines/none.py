"""No cache: everything is computed."""

from dataclasses import dataclass

from smoothbench.caching import AtLevel, ErrorCurves, Schedule, Trajectory


@dataclass(frozen=True)
class NoCache(AtLevel):
    """No cache: this is the reference, and with fewer solver steps the rival that every method has to beat."""

    needs_curves = False
    name = "none"
    version = 1

    def plan(self, trajectory: Trajectory, curves: ErrorCurves | None = None) -> Schedule:
        """Plan a schedule that computes every site at every evaluation."""
        return Schedule.steps(trajectory.sites, [True] * trajectory.evals, {"method": "none"})
