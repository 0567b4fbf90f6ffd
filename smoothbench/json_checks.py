"""Check values that were read from JSON files, with messages of one line."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from smoothbench.errors import one_line

JSON_TYPES: Mapping[type, str] = {
    dict: "an object",
    list: "a list",
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


def number(value: Any, name: str) -> float:
    """Return a finite number; ValueError, naming it, for anything else."""
    try:
        converted = float(require(value, name, float, int))
    except OverflowError:
        converted = math.inf
    if not math.isfinite(converted):
        raise ValueError(f"its {name} is {str(value)[:40]}, not a finite number")
    return converted


def require(value: Any, name: str, *types: type) -> Any:
    """Return a value that has one of these types; ValueError, which names the first type, for others.

    The types are those that json.loads gives. A bool does not count as a number.
    """
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise ValueError(f"its {name} is {json.dumps(value, default=str)[:40]}, not {JSON_TYPES[types[0]]}")
    return value


def explain(error: Exception) -> str:
    """Describe in one line what is wrong with a file."""
    return f"it has no {error}" if isinstance(error, KeyError) else one_line(error)


def is_text(value: Any) -> bool:
    """Text that UTF-8 can say, without control characters."""
    return isinstance(value, str) and not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", value)
