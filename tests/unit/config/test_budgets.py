"""The key `at` of a point: what it may be, what it names, and what it makes superfluous."""

from typing import Any

import pytest

from smoothbench.config.budgets import spec_at
from smoothbench.config.expand import settings
from smoothbench.errors import UsageError
from tests.support.compose import checked, composed

BAD: tuple[Any, ...] = (0, -0.5, 1.5, "true", "half", "[0.4]", ".nan")
RULE = "must be a share of the uncached MACs, above 0 and at most 1, or one of light, medium, heavy"


@pytest.mark.parametrize("value", BAD)
def test_a_share_is_above_0_and_at_most_1(value: Any) -> None:
    with pytest.raises(UsageError, match=rf"^at=.*: {RULE}$"):
        checked("metrics=[psnr]", "cache=fora", f"at={value}")
    with pytest.raises(UsageError, match=rf"^points\.fora-at=.*: at=.*: {RULE}$"):
        settings(
            composed(
                "metrics=[psnr]", "+cache@points.fora.cache=fora", f"+points.fora.sweep={{at:[{value}]}}"
            )
        )


def test_a_budget_names_its_point_and_makes_its_label() -> None:
    (_, spec) = settings(composed("cache=fora", "cache.policy.orientation=mirrored", "at=0.4")).specs
    assert (spec.name, spec.label, spec.at) == ("FORA, mirrored, at=0.4", "FORA, mirrored, at=0.4", 0.4)
    found = spec_at(spec, "interval", 3)
    assert (found.name, found.label, found.policy["interval"]) == (spec.name, "FORA N=3, mirrored", 3)
    (_, spec) = settings(composed("cache=smoothcache", "at=1")).specs
    found = spec_at(spec, "alpha", 0.123456789)
    assert (found.label, found.policy["alpha"]) == ("SmoothCache alpha=0.1235", 0.123456789)


def test_messages_name_the_key_of_a_point_and_not_its_label() -> None:
    (_, alone) = settings(composed("cache=teacache", "cache.policy.threshold=-1")).specs
    assert (alone.name, alone.where) == (alone.label, "cache")
    swept = "+points.x.sweep={cache.policy.interval:[2,3]}"
    (_, two, three) = settings(composed("metrics=[psnr]", "+cache@points.x.cache=fora", swept)).specs
    assert [two.where, three.where] == ["points.x-interval=2", "points.x-interval=3"]


def test_points_sweep_budgets() -> None:
    plan = settings(
        composed("metrics=[psnr]", "+cache@points.x.cache=fora", "+points.x.sweep={at:[0.6,0.2]}")
    )
    assert [(spec.name, spec.at) for spec in plan.specs[1:]] == [("x-at=0.6", 0.6), ("x-at=0.2", 0.2)]


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (
            ("cache=fora", "at=0.4", "cache.policy.interval=3"),
            r"^cache\.policy\.interval=3: nothing in this run reads it: at=\.\.\. sets it$",
        ),
        (
            ("+exp=smoke", "at=0.4"),
            r"^at=0\.4: smoke has its own points, so at=\.\.\. does nothing: see only= and",
        ),
        (("cache=fora", "at=0.4", "+reference.at=0.4"), r"^points\.reference\.at: there are "),
    ],
)
def test_what_a_budget_leaves_no_room_for_is_refused(overrides: tuple[str, ...], line: str) -> None:
    with pytest.raises(UsageError, match=line):
        checked("metrics=[psnr]", *overrides)


def test_a_label_of_ones_own_is_read_and_stays() -> None:
    (_, spec) = checked("metrics=[psnr]", "cache=fora", "at=0.4", "cache.label=mine").specs
    assert spec_at(spec, "interval", 3).label == "mine"


def test_the_reference_may_be_a_fine_run() -> None:
    """Then the uncached point at the solver's own steps is a point like others."""
    fine = settings(composed("+exp=rivals_image", "+reference.solver.steps=500", "only=[none,fora]"))
    assert [(spec.name, spec.solver["steps"]) for spec in fine.specs[:2]] == [
        ("reference", 500),
        ("none", 50),
    ]
    assert [spec.at for spec in fine.specs[2:]] == [0.6, 0.45, 0.3, 0.2] * 2
