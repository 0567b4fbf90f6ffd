"""How keys are spelled now that an earlier version spelled otherwise.

Until version 0.1 class and parameters of a caching method stood at the top of its node, now they are under `policy`.
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from smoothbench.errors import UsageError

KEYS_OF_CACHE = ("policy", "predictor", "family", "label", "training")
ATTRIBUTES: Mapping[str, str] = (
    MappingProxyType(  # what plug-ins must have, and what an earlier version called it
        {
            "begin": "integrate",
            "labels_or_prompts": "conditions",
            "unavailable_reason": "missing",
            "guidance_rows": "rows",
            "min_batch_size": "least_batch",
        }
    )
)
CACHE = re.compile(r"((?:points\.[^.=]+\.|reference\.)?(?:cache|published))\.([^.=]+)([^=]*)")


def new_spelling(key: str) -> str | None:
    """Say in a clause how a full key is spelled now; None where it is no old spelling."""
    parts = CACHE.fullmatch(key)
    if parts is None or parts[2] in KEYS_OF_CACHE:
        return None
    return under_policy(f"{parts[1]}.policy.{parts[2]}{parts[3]}")


def under_policy(spelling: str) -> str:
    """Say in a clause that a method's own keys are under `policy`, so that one of them is spelled like this."""
    return f"class and parameters of a method are under policy now: {spelling}"


def check_overrides(arguments: Sequence[str]) -> None:
    """Refuse the first override of a command line with an old key: UsageError with the new spelling."""
    for argument in arguments:
        key = argument.lstrip("+~").partition("=")[0]
        if spelling := new_spelling(key):
            raise UsageError(f"{argument:.60}: {spelling}")
