"""Read JSON strictly: no key twice, of which Python's own reader drops all but the last, and no number too large."""

from collections.abc import Iterable
from math import isfinite
from numbers import Real
from typing import Any


def unique_keys(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, for `json.loads(..., object_pairs_hook=unique_keys)`; ValueError for a key that repeats."""
    data: dict[str, Any] = {}
    for key, value in pairs:
        if key in data:
            raise ValueError(f"{key[:60]!r} stands there twice")
        data[key] = value
    return data


def is_number(value: Any) -> bool:
    """Whether a value is a finite number that a float can hold; truth values are none."""
    try:
        return isinstance(value, Real) and not isinstance(value, bool) and isfinite(value)
    except OverflowError:
        return False
