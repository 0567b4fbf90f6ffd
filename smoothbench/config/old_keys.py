"""How keys are spelled now that an earlier version spelled otherwise.

Until version 0.1 class and parameters of a caching method stood at the top of its node, now they are under `policy`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep
from hydra.errors import HydraException

from smoothbench.errors import UsageError

KEYS_OF_CACHE = ("policy", "predictor", "family", "label", "training")
# what plug-ins must have, and what an earlier version called it
ATTRIBUTES: Mapping[str, str] = MappingProxyType(
    {
        "begin": "integrate",
        "labels_or_prompts": "conditions",
        "unavailable_reason": "missing",
        "guidance_rows": "rows",
        "min_batch_size": "least_batch",
    }
)
CACHE = re.compile(
    r"((?:points\.[^.=]+\.(?:sweep\.)?|reference\.)?(?:cache|published))\.(?P<name>[^.=]+)([^=]*)"
)


def new_spelling(key: str) -> str | None:
    """Say in a clause how a full key is spelled now; None where it is no old spelling."""
    new = new_key(key)
    return new and under_policy(new)


def new_key(key: str) -> str | None:
    """Return a full key as it is spelled now; None where it is no old spelling."""
    parts = CACHE.fullmatch(key)
    if parts is None or parts["name"] in KEYS_OF_CACHE:
        return None
    return f"{parts[1]}.policy.{parts['name']}{parts[3]}"


def under_policy(spelling: str) -> str:
    """Say in a clause that a method's own keys are under `policy`, so that one of them is spelled like this."""
    return f"class and parameters of a method are under policy now: {spelling}"


def check_overrides(arguments: Sequence[str]) -> None:
    """Refuse the first override of a command line with an old key: UsageError with the new spelling."""
    for argument in arguments:
        if "=" not in argument and not argument.startswith("~"):
            continue  # an option or its value, which may be any text
        key = argument.lstrip("+~").partition("=")[0]
        inner_keys = (f"{key}{inner}" for value in _values(argument) for inner in _inner_keys(value))
        for full_key in (key, *inner_keys):
            if spelling := new_spelling(full_key):
                raise UsageError(f"{argument:.60}: {spelling}")


def _values(argument: str) -> list[Any]:
    """The values of an override, more than one for a multirun; none where Hydra will refuse it."""
    if "{" not in argument:
        return []
    try:
        value = OverridesParser.create().parse_override(argument).value()
    except HydraException:
        return []
    return value.list if isinstance(value, ChoiceSweep) else [value]


def _inner_keys(value: Any) -> Iterator[str]:
    """Yield the keys within a node, each with a dot before it."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield f".{name}"
            yield from (f".{name}{key}" for key in _inner_keys(inner))
