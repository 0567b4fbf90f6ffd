"""The MACs of a trajectory: one sum, by kind of site and by kind of layer."""

import pytest

from smoothbench.caching import Cost, Macs, Schedule, Site, Trajectory

SITES = (
    Site("blocks.0.attn", "attn", "", macs=10, macs_linear=7),
    Site("blocks.0.ff", "ff", "", macs=20, macs_linear=20),
    Site("blocks.1.attn", "attn", "", macs=10, macs_linear=7),
)
TRAJECTORY = Trajectory(SITES, (3.0, 2.0, 1.0, 0.0), rest_macs=5, rest_macs_linear=4)


def test_a_trajectory_costs_its_computed_sites_and_the_rest_of_every_evaluation() -> None:
    cost = TRAJECTORY.cost({"blocks.0.attn": 2, "blocks.0.ff": 3, "blocks.1.attn": 4})
    assert cost == Cost({"attn": Macs(6 * 7, 6 * 3), "ff": Macs(60, 0)}, rest=Macs(4 * 4, 4 * 1))
    assert cost.branches == Macs(102, 18)
    assert (cost.linear, cost.attention, cost.total) == (118, 22, 140)


def test_fractions_of_evaluations_are_rounded_site_by_site() -> None:
    """A dynamic policy's counts are means over batches; each site of 10 MACs at 0.26 evaluations counts 3."""
    cost = TRAJECTORY.cost({"blocks.0.attn": 0.26, "blocks.0.ff": 0.0, "blocks.1.attn": 0.26})
    assert cost.by_kind["attn"] == Macs(2 * 2, 2 * 1) and cost.by_kind["ff"] == Macs(0, 0)
    assert all(type(macs) is int for macs in (cost.linear, cost.attention, cost.total))


def test_a_site_without_a_count_is_named() -> None:
    with pytest.raises(KeyError, match=r"blocks\.0\.ff"):
        TRAJECTORY.cost({"blocks.0.attn": 1})


def test_the_share_of_a_schedule_is_that_of_its_total() -> None:
    half = Schedule.steps(SITES, [True, False, True, False], {"method": "test"})
    assert TRAJECTORY.share(half) == (2 * 40 + 4 * 5) / (4 * 40 + 4 * 5)
