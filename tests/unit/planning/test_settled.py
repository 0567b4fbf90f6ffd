"""A plan that costs more than its budget is a failed point."""

from typing import Any

from baselines.fora import FORA
from smoothbench.caching import Schedule, Site, Trajectory
from smoothbench.planning.at_budget import AtBudget, settled
from smoothbench.planning.outcome import Outcome
from smoothbench.storage.record_parts import Budget

SITES = (Site("blocks.0.ff", "ff", "blocks.0.ff", macs=80, macs_linear=80),)
TRAJECTORY = Trajectory(SITES, tuple(map(float, range(10))), rest_macs=20, rest_macs_linear=20)


def test_a_plan_is_held_against_its_budget() -> None:
    schedule = Schedule.steps(SITES, [e < 4 for e in range(10)])  # (4 * 80 + 10 * 20) / 1000
    spec: Any = None  # nothing of it is looked at
    dear, cheap = (
        settled(
            AtBudget(FORA(3), spec, Budget(at=at, knob="interval", setting=3, expected=0.4)),
            Outcome(schedule),
            TRAJECTORY,
        )
        for at in (0.519, 0.52)
    )
    outcome, budget = dear
    assert outcome.policy is None and budget.expected == 0.4
    assert outcome.planning_error == "FORA says that it costs 0.4000 of the MACs, but its plan 0.5200"
    outcome, budget = cheap
    assert outcome.policy is schedule and outcome.planning_error is None and budget.expected == 0.52
