"""Where a cached run stands, from what it keeps: states that follow from computed evaluations by solver and weights."""

from collections.abc import Mapping, Sequence

from smoothbench.caching.checked_step import CheckedStep
from smoothbench.caching.solver_steps import RecognisedSolver

SAME = 1e-4  # by which the guidance weights of two evaluations may differ, as regression finds them
Combination = Mapping[tuple[str, int], float]  # of the states and guided outputs of computed evaluations
STATE, OUTPUT = "state", "output"


def known_states(
    solver: RecognisedSolver,
    outputs: Sequence[Sequence[float]],
    inputs: Sequence[Sequence[float]],
    rows_per_sample: int,
) -> tuple[CheckedStep, ...]:
    """Return the states at the first skipped evaluation of each gap, as they follow from computed ones.

    The solver's steps and the weights give each state as a combination of earlier states and outputs. Left out are states that need more than the run keeps, and all of a
    solver that is not exact. Args: outputs and inputs, the weights of each evaluation as in `InputWeights`, none where
    it is computed; rows_per_sample, the rows of one forward that belong to a sample.
    """
    if not solver.is_exact:
        return ()
    depth = max(map(len, outputs), default=0)
    skipped = [e for e, row in enumerate(outputs) if row and e <= len(solver.steps)]
    states, histories = _followed(solver, outputs, inputs)
    steps = [
        _as_step(solver, e, states[e], histories[e][:depth], rows_per_sample)
        for e in skipped
        if histories[e][0]
        == e - 1  # behind predicted outputs the step of another run is off by more than rounding
    ]
    return tuple(step for step in steps if step is not None)


def _followed(
    solver: RecognisedSolver, outputs: Sequence[Sequence[float]], inputs: Sequence[Sequence[float]]
) -> tuple[list[Combination], list[list[int]]]:
    """The state at each evaluation, and the computed evaluations before it, the newest first."""
    states: list[Combination] = []
    guided: list[Combination] = []
    histories: list[list[int]] = []
    computed: list[int] = []
    for e, row in enumerate(outputs):
        histories.append(computed)
        if not row:
            states.append({(STATE, e): 1.0})
            guided.append({(OUTPUT, e): 1.0})
            computed = [e, *computed]
            continue
        step = solver.step(e - 1)
        before = [(w, states[e - 1 - k]) for k, w in enumerate(step.states)]
        before += [(w, guided[e - 1 - k]) for k, w in enumerate(step.outputs)]
        states.append(_sum(before))
        past = [(w, {(OUTPUT, k): 1.0}) for w, k in zip(row, computed, strict=False)]
        seen = [states[e], *({(STATE, k): 1.0} for k in computed)]
        guided.append(_sum([*past, *zip(inputs[e], seen, strict=False)]))
    return states, histories


def _sum(terms: Sequence[tuple[float, Combination]]) -> Combination:
    total: dict[tuple[str, int], float] = {}
    for weight, combination in terms:
        for vector, share in combination.items():
            total[vector] = total.get(vector, 0.0) + weight * share
    return {vector: weight for vector, weight in total.items() if weight}


def _as_step(
    solver: RecognisedSolver, e: int, state: Combination, history: Sequence[int], rows_per_sample: int
) -> CheckedStep | None:
    """A state as weights of what is kept; None where that does not suffice, or guidance changes on the way."""
    if not {k for _, k in state} <= set(history):
        return None
    guidance = solver.step(history[0]).guidance
    others = [solver.step(k).guidance for what, k in state if what == OUTPUT]
    if any(abs(a - b) > SAME for other in others for a, b in zip(guidance, other, strict=True)):
        return None
    rows = 1 if len(guidance) == 1 else rows_per_sample  # rows that are samples by themselves have one weight
    if len(guidance) % rows:
        return None
    weights = [[state.get((what, k), 0.0) for k in history] for what in (STATE, OUTPUT)]
    of_states, of_outputs = (tuple(_without_zeros(row)) for row in weights)
    return CheckedStep(e, of_states, of_outputs, guidance, len(guidance) // rows)


def _without_zeros(row: Sequence[float]) -> Sequence[float]:
    """The weights up to the last one that counts, at least one."""
    return row[: max((i + 1 for i, weight in enumerate(row) if weight), default=1)]
