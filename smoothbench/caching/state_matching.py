"""Fit the weights of kept outputs so that the states of the cached run are those of a reference run."""

import warnings
from dataclasses import dataclass
from functools import partial

from smoothbench.caching.batch_runs import BatchRuns
from smoothbench.caching.fitted import check_ridge
from smoothbench.caching.input_weights import InputWeights
from smoothbench.caching.known_states import known_states
from smoothbench.caching.output_matching import matching_denoised, matching_outputs, nearest
from smoothbench.caching.reference_run import (
    FINE,
    PLANNED,
    UNCACHED,
    check_target,
    planned_target,
    reference_run,
)
from smoothbench.caching.schedule import Schedule
from smoothbench.caching.sites import DENOISER
from smoothbench.caching.state_fit import StateFit
from smoothbench.caching.weighted_sum import WeightedSum


@dataclass(frozen=True)
class StateMatching:
    """State matching predicts a skipped output by a combination of earlier ones that leads to the right next state.

    The weights are fitted in order along the cached run of the calibration batch: at each skipped evaluation, to the
    last `depth` computed outputs and the present noisy sample, so that the solver's next state lies nearest to that of
    the uncached run, or of a fine one with `substeps` for each step, in squares over all samples. What earlier skips
    have done to the state is mended with it. `target` is "uncached", "fine" or "planned": as the schedule's plan says.
    `ridge` is the price of leaving reuse, as a share of each vector's square. Where the solver draws fresh noise, no
    weights foresee the next state: the recorded outputs are matched, from kept ones and the noisy samples of these and
    of now, which predicts the denoised sample. At other levels, from which no solver steps, the recorded outputs are
    matched from kept ones alone, as L2P does (arXiv 2604.26365). Raises ValueError for parameters out of range.
    """

    depth: int = 3
    ridge: float = 1e-6
    target: str = PLANNED
    substeps: int = 4
    coordinate = "index"
    name = "state_matching"
    version = 2

    def __post_init__(self) -> None:
        if type(self.depth) is not int or self.depth < 1:
            raise ValueError(f"StateMatching's depth must be a whole number from 1, not {self.depth}")
        check_ridge("StateMatching", self.ridge)
        check_target("StateMatching", self.target, self.substeps, (PLANNED, UNCACHED, FINE))

    def fit(self, schedule: Schedule, batch: BatchRuns) -> WeightedSum:
        """Return the weights for a schedule; of the whole denoiser, the batch is run once under it."""
        if schedule.sites != (DENOISER,):
            return matching_outputs(schedule, batch, self.depth, partial(nearest, ridge=self.ridge))
        reference = reference_run(batch, *planned_target(schedule, self.target, self.substeps))
        if not reference.solver.is_exact:
            warnings.warn(
                f"a linear step leaves {reference.solver.residual:.0%} of a state unexplained: the solver draws fresh "
                "noise, or is not linear. Outputs are matched in place of states, by outputs and states before",
                stacklevel=2,
            )
            return matching_denoised(
                schedule, reference, self.depth, self.ridge, batch.trajectory.coordinates
            )
        fit = StateFit(self.depth, self.ridge, schedule, reference, batch.rows_per_sample)
        batch.steer(fit, sum(map(all, schedule.computed)))
        return InputWeights(
            {DENOISER: fit.outputs},
            batch.trajectory.coordinates,
            inputs={DENOISER: fit.inputs},
            steps=known_states(reference.solver, fit.outputs, batch.rows_per_sample),
        )
