"""Records with any value in any place, for hypothesis."""

import copy
from collections.abc import Iterable
from typing import Any

from hypothesis import strategies as st

JUNK: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
    | st.sampled_from(["done", "1", -1, 0, 2.0, 10**400, "../../x", "a\nb"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip
DROP = object()
Place = tuple[str | int, ...]


def places(data: Any, at: Place = ()) -> list[Place]:
    """The paths of everything in JSON data, the shorter ones first."""
    inside: Iterable[tuple[str | int, Any]] = ()
    if isinstance(data, dict | list):
        inside = data.items() if isinstance(data, dict) else list(enumerate(data))[:2]
    return [at] * bool(at) + [place for key, value in inside for place in places(value, (*at, key))]


def changed(record: Any, place: Place, value: Any) -> Any:
    record = copy.deepcopy(record)
    *before, last = place
    node = record
    for key in before:
        node = node[key]
    if value is DROP:
        del node[last]
    else:
        node[last] = value
    return record
