"""Steps of the solver between computed evaluations and a skipped one: a cached run keeps all that they look at."""

from collections.abc import Sequence

from smoothbench.caching.checked_step import CheckedStep
from smoothbench.caching.solver_steps import RecognisedSolver

SAME = 1e-4  # by which the guidance weights of two evaluations may differ, as regression finds them


def known_states(
    solver: RecognisedSolver, outputs: Sequence[Sequence[float]], rows_per_sample: int
) -> tuple[CheckedStep, ...]:
    """Return the solver's steps to skipped evaluations, of those steps that look at computed evaluations alone.

    A solver that is not exact has none. Args: outputs, the weights of each evaluation as in `InputWeights`, none where
    it is computed; rows_per_sample, the rows of one forward that belong to a sample.
    """
    if not solver.is_exact:
        return ()
    depth = max(map(len, outputs), default=0)
    skipped = [e for e, row in enumerate(outputs) if row and e <= len(solver.steps)]
    steps = [_step_to(solver, e, outputs, depth, rows_per_sample) for e in skipped]
    return tuple(step for step in steps if step is not None)


def _step_to(
    solver: RecognisedSolver, e: int, outputs: Sequence[Sequence[float]], depth: int, rows_per_sample: int
) -> CheckedStep | None:
    """The step to an evaluation; None where it looks at skipped ones, at more than is kept, or at changing guidance."""
    step = solver.steps[e - 1]
    past = range(e - 1, e - 1 - max(len(step.states), len(step.outputs)), -1)
    if len(past) > depth or any(outputs[k] for k in past):
        return None
    others = [solver.step(k).guidance for k in past]
    if any(abs(a - b) > SAME for other in others for a, b in zip(step.guidance, other, strict=True)):
        return None
    # rows that are samples by themselves have one weight
    rows = 1 if len(step.guidance) == 1 else rows_per_sample
    if len(step.guidance) % rows:
        return None
    return CheckedStep(e, step.states, step.outputs, step.guidance, len(step.guidance) // rows)
