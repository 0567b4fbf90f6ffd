"""The knob of a caching method: the parameter that sets its cost, searched for the dearest setting within a budget."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, is_dataclass, replace
from functools import partial
from inspect import signature
from math import inf, isfinite, sqrt
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

from smoothbench.caching.error_curves import ErrorCurves
from smoothbench.caching.schedule import Schedule
from smoothbench.caching.trajectory import Trajectory

Setting = float | int
Share = Callable[[Setting], float]  # of the uncached MACs, from 0 to 1

CLOSE = 0.01  # how far below the budget a share may lie that is found by runs of the model
DIGITS = 6  # significant ones of a real setting, so that it can be read and typed;
DIGITS_BY_RUNS = 3  # where every step of the search runs the model
STEP_FROM_ZERO = 16  # a scale that begins at 0 is searched downwards in such steps,
SMALLEST = 1e-9  # to this part of its other end


@dataclass(frozen=True)
class Range:
    """All real settings of a knob from the dearest to the cheapest, searched by bisection.

    The scale is logarithmic where both ends have one sign, else linear; one that begins at 0 is searched in ever
    smaller magnitudes. Raises ValueError for ends that are equal or not finite.
    """

    dearest: float
    cheapest: float

    def __post_init__(self) -> None:
        if not (isfinite(self.dearest) and isfinite(self.cheapest)) or self.dearest == self.cheapest:
            raise ValueError(
                f"a range of settings needs two finite ends, not {self.dearest}, {self.cheapest}"
            )

    def between(self, dearer: float, cheaper: float, digits: int = DIGITS) -> float | None:
        """Return a setting between two others; None where they are the same in so many significant digits."""
        if dearer * cheaper > 0:
            middle = sqrt(dearer * cheaper) * (1 if cheaper > 0 else -1)
        elif 0 in (dearer, cheaper):
            middle = (dearer + cheaper) / STEP_FROM_ZERO
            if abs(middle) < SMALLEST * max(abs(self.dearest), abs(self.cheapest)):
                return None
        else:
            middle = (dearer + cheaper) / 2
        middle = float(f"{middle:.{digits}g}")
        return None if middle in (dearer, cheaper) else middle


Settings = Sequence[float | int] | Range  # all that can differ, the dearest first


@runtime_checkable
class HasKnob(Protocol):
    """A caching method with a parameter, named by `knob`, that sets what the method costs.

    `knob` is the name of a field of its dataclass; dotted, that of a field of a method inside it.
    """

    knob: ClassVar[str]

    def settings(self, trajectory: Trajectory) -> Settings:
        """Return the knob's settings; a method that plans on error curves may take these as `curves`, too."""
        ...


@runtime_checkable
class KnowsShare(HasKnob, Protocol):
    """A caching method whose cost follows from its knob alone, so that no plan is made only to learn it."""

    def share_at(self, trajectory: Trajectory, setting: Setting) -> float:
        """Return the share of the uncached MACs that the method's schedule costs at a setting of the knob."""
        ...


def share_of_full(trajectory: Trajectory, full: int) -> float:
    """Return the share of the uncached MACs that so many full evaluations cost, wherever they lie."""
    return trajectory.share(Schedule.steps(trajectory.sites, [e < full for e in range(trajectory.evals)]))


class Affordable(NamedTuple):
    """A setting of a knob that a budget allows, and the share of the uncached MACs that it costs."""

    setting: Setting
    share: float


class BudgetTooLow(ValueError):
    """No setting of a knob costs as little as the budget; `least` is the least share that was found."""

    def __init__(self, knob: str, budget: float, least: float) -> None:
        digits = next((d for d in range(4, 16) if f"{budget:.{d}f}" != f"{least:.{d}f}"), 16)
        super().__init__(
            f"no {knob} costs at most {budget:.{digits}f} of the MACs: the least is {least:.{digits}f}"
        )
        self.least = least


def settings_of(method: HasKnob, trajectory: Trajectory, curves: ErrorCurves | None = None) -> Settings:
    """Return the settings of a method's knob; ValueError where it names none."""
    more = {"curves": curves} if "curves" in signature(method.settings).parameters else {}
    settings = method.settings(trajectory, **more)
    if not isinstance(settings, Range) and not len(settings):
        raise ValueError(f"{type(method).__name__} has no setting of its knob {method.knob} here")
    return settings


def with_setting(method: Any, knob: str, setting: Setting) -> Any:
    """Return a method with its knob at a setting; ValueError where it has no such field."""
    name, _, inner = knob.partition(".")
    if not is_dataclass(method) or isinstance(method, type) or name not in method.__dataclass_fields__:
        raise ValueError(f"{type(method).__name__} has no field {name}, which its knob names")
    value = with_setting(getattr(method, name), inner, setting) if inner else setting
    return replace(method, **{name: value})


def dearest_within(knob: str, settings: Settings, share: Share, budget: float) -> Affordable:
    """Find the dearest setting whose planned share is at most the budget: exactly among finitely many.

    In a range the share is taken to fall from the dearest to the cheapest. Raises BudgetTooLow where none is that
    cheap.
    """
    if isinstance(settings, Range):
        return bisected(knob, settings, share, budget, close=None)
    least = 1.0
    for setting in settings:
        least = min(least, cost := share(setting))
        if cost <= budget:
            return Affordable(setting, cost)
    raise BudgetTooLow(knob, budget, least)


def bisected(
    knob: str, settings: Settings, share: Share, budget: float, close: float | None = CLOSE
) -> Affordable:
    """Find, by few calls of `share`, a setting that costs at most the budget and as nearly as can be.

    The share is taken to fall from the dearest to the cheapest. Args: close, how far below the budget suffices, None
    for the dearest setting that there is. Raises BudgetTooLow where not even the cheapest is within it.
    """
    if isinstance(settings, Range):
        between = partial(settings.between, digits=DIGITS if close is None else DIGITS_BY_RUNS)
        return _bisected(knob, (settings.dearest, settings.cheapest), between, share, budget, close)
    place, cost = _bisected(
        knob,
        (0, len(settings) - 1),
        lambda dearer, cheaper: None if cheaper - dearer < 2 else (dearer + cheaper) // 2,
        lambda i: share(settings[int(i)]),
        budget,
        close,
    )
    return Affordable(settings[int(place)], cost)


def _bisected(
    knob: str,
    ends: tuple[Setting, Setting],
    between: Callable[[Setting, Setting], Setting | None],
    share: Share,
    budget: float,
    close: float | None,
) -> Affordable:
    dearer, cheaper = ends
    enough = inf if close is None else budget - close
    best = Affordable(cheaper, share(cheaper))
    if best.share > budget:
        raise BudgetTooLow(knob, budget, best.share)
    while best.share < enough and (middle := between(dearer, cheaper)) is not None:
        cost = share(middle)
        if cost > budget:
            dearer = middle
            continue
        cheaper = middle
        if cost >= best.share:
            best = Affordable(middle, cost)
    # the dearest itself is tried last: mostly it skips nothing, and need not run
    if dearer == ends[0] != cheaper and best.share < enough and (cost := share(dearer)) <= budget:
        return Affordable(dearer, cost)
    return best
