"""The search for the dearest setting of a knob within a budget."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

from baselines.fora import FORA
from baselines.none import NoCache
from smoothbench.caching import HasKnob, Range, Schedule, Settings, Site, Trajectory
from smoothbench.caching.knobs import BudgetTooLow, bisected, dearest_within, settings_of, with_setting

SITES = (Site("blocks.0.ff", "ff", "blocks.0.ff", macs=80, macs_linear=80),)
TRAJECTORY = Trajectory(SITES, tuple(map(float, range(10))), rest_macs=20, rest_macs_linear=20)


class Falling:
    """A share that falls with the setting in steps of 0.02, and the settings at which it was computed."""

    def __init__(self, scale: float) -> None:
        self.scale, self.settings = scale, list[float]()

    def __call__(self, setting: float) -> float:
        self.settings.append(setting)
        return round(50 / (1 + abs(setting) / self.scale)) / 50


@dataclass(frozen=True)
class Inside:
    """A method with another one inside it, whose knob is its own."""

    method: FORA
    knob: ClassVar[str] = "method.interval"

    def settings(self, trajectory: Trajectory) -> Settings:
        return self.method.settings(trajectory)


@pytest.mark.parametrize("at", [1.0, 0.6, 0.45, 0.36])
def test_an_interval_is_found_exactly(at: float) -> None:
    """A share of 0.2 is always spent outside the sites, and 0.08 at each of the ten evaluations."""
    fora = FORA(1, "mirrored")

    def share(interval: float) -> float:
        return TRAJECTORY.share(with_setting(fora, fora.knob, interval).plan(TRAJECTORY))

    setting, cost = dearest_within("interval", settings_of(fora, TRAJECTORY), share, at)
    assert cost == share(setting) <= at and setting == next(n for n in range(1, 10) if share(n) <= at)


def test_a_budget_below_what_is_possible_names_the_least() -> None:
    with pytest.raises(
        BudgetTooLow, match=r"^no interval costs at most 0\.2000 of .* the least is 0\.3600$"
    ) as error:
        dearest_within("interval", [1, 2, 9], {1: 1.0, 2: 0.6, 9: 0.36}.__getitem__, 0.2)
    assert error.value.least == 0.36
    with pytest.raises(BudgetTooLow, match=r"the least is 0\.3000"):  # which is not the last
        dearest_within("full", [3, 2, 1], {3: 0.9, 2: 0.3, 1: 0.5}.__getitem__, 0.2)
    with pytest.raises(BudgetTooLow, match=r"the least is 0\.9000"):
        bisected("threshold", Range(0.0, 1.0), Falling(9), 0.2)


@pytest.mark.parametrize("scale", [1e-3, 0.05, 1, 300])
@pytest.mark.parametrize("ends", [(0.0, 1e5), (1e-6, 1e5), (0.0, -1e5)])
def test_a_range_is_resolved_over_all_magnitudes(ends: tuple[float, float], scale: float) -> None:
    """The share passes from 0.42 to 0.40 where 50 / (1 + setting / scale) is 20.5."""
    share, edge = Falling(scale), scale * (50 / 20.5 - 1)
    setting, cost = dearest_within("threshold", Range(*ends), share, 0.4)
    assert cost == 0.4 and edge <= abs(setting) < edge * 1.0001
    assert len(share.settings) < 45


def test_a_range_over_zero_is_searched_linearly() -> None:
    setting, cost = dearest_within("shift", Range(-1.0, 1.0), lambda x: (1 - x) / 2, 0.25)
    assert abs(setting - 0.5) < 1e-5 and cost <= 0.25


@pytest.mark.parametrize("settings", [Range(0.0, 1e5), [0.0, *(2.0**i for i in range(-9, 12))]])
def test_runs_of_the_model_are_few_and_the_dearest_is_tried_last(settings: Settings) -> None:
    share = Falling(0.05)
    setting, cost = bisected("threshold", settings, share, 0.4)
    assert len(share.settings) <= 12 and 0.0 not in share.settings and share(setting) == cost
    assert 0.4 - 0.01 <= cost <= 0.4 or isinstance(settings, list)
    assert bisected("threshold", settings, share, 1.0).share == 1.0


def test_bisection_takes_a_single_setting_and_any_share_that_is_cheap_enough() -> None:
    assert bisected("n", [3], lambda n: 0.2, 0.4) == (3, 0.2)
    assert bisected("n", [1, 2], lambda n: 0.395, 0.4) == (2, 0.395)


def test_knobs_are_fields_also_of_a_method_inside() -> None:
    assert with_setting(Inside(FORA(2)), Inside.knob, 5) == Inside(FORA(5))
    assert isinstance(Inside(FORA(2)), HasKnob) and not isinstance(NoCache(), HasKnob)
    with pytest.raises(ValueError, match="FORA has no field period, which its knob names"):
        with_setting(FORA(2), "period", 3)
    with pytest.raises(ValueError, match=r"a range of settings needs two finite ends, not 1\.0, 1\.0"):
        Range(1.0, 1.0)


def test_a_knob_without_settings_is_refused() -> None:
    @dataclass(frozen=True)
    class Stuck:
        level: int = 1
        knob: ClassVar[str] = "level"

        def settings(self, trajectory: Trajectory) -> Settings:
            return []

        def plan(self, trajectory: Trajectory) -> Schedule:
            return Schedule.steps(trajectory.sites, [True] * trajectory.evals)

    with pytest.raises(ValueError, match="Stuck has no setting of its knob level here"):
        settings_of(Stuck(), TRAJECTORY)
