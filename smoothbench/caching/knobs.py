"""Knobs: the one parameter of a caching method that a budget sets, and the settings that it can have."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Range:
    """The real settings of a knob, from the dearest, which computes most, to the cheapest."""

    dearest: float
    cheapest: float


Settings = Sequence[float | int] | Range  # all settings, the dearest first, or a range of real ones
