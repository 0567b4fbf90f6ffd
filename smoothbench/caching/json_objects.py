"""Read JSON objects without losing keys: Python's own reader silently drops all but the last of equal keys."""

from collections.abc import Iterable
from typing import Any


def unique_keys(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, for `json.loads(..., object_pairs_hook=unique_keys)`; ValueError for a key that repeats."""
    data: dict[str, Any] = {}
    for key, value in pairs:
        if key in data:
            raise ValueError(f"{key[:60]!r} stands there twice")
        data[key] = value
    return data
