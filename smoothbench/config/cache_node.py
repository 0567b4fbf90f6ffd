"""The node of a caching method: what builds it stands under `policy`, what the harness reads stands beside that.

Keys as an earlier version spelled them are refused with their new spelling.
"""

import re
from typing import Any

from smoothbench.config.old_keys import CACHE, KEYS_OF_CACHE, new_key, under_policy
from smoothbench.errors import UsageError, shown
from smoothbench.json_checks import is_text

LONGEST_NAME = 400  # letters of a label or a family


def check_keys_of_cache(node: Any, where: str) -> None:
    """Check the keys of a node that is not resolved yet; UsageError with the new spelling for an old key."""
    if unknown := [key for key in node if key not in KEYS_OF_CACHE]:
        raise UsageError(
            f"{where}.{shown(unknown[0])}: {under_policy(f'{where}.policy.{shown(unknown[0])}')}"
        )


def check_policy(node: Any, where: str) -> None:
    """Check a resolved node: UsageError where it has another key or no policy."""
    check_keys_of_cache(node, where)
    if not isinstance(node.get("policy"), dict):
        raise UsageError(
            f"{where} must have a policy, a node with the _target_ of a method and its parameters"
        )


def check_cache(node: Any, where: str) -> None:
    """Check a resolved node: UsageError where it has no policy, predictor, family or label."""
    check_policy(node, where)
    for key in ("label", "family"):
        if not is_text(node.get(key)) or not 0 < len(node[key]) <= LONGEST_NAME:
            raise UsageError(f"{where} must have a {key}, a line of text (at most {LONGEST_NAME} letters)")
    if "predictor" not in node:
        raise UsageError(f"{where} must have a predictor (reuse, taylor1, ...)")


def new_interpolation(message: str, cache: Any) -> str:
    """Say how a parameter of a method is interpolated now, where the message of OmegaConf names one; or nothing."""
    match = re.search(r"Interpolation key '([^']+)' not found", message)
    policy = cache.get("policy") if isinstance(cache, dict) else None
    if match is None or not isinstance(policy, dict):
        return ""
    key, full = match[1], CACHE.fullmatch(match[1])  # relative to the node, or from the top
    name = full["name"] if full else key.partition(".")[0]
    new = new_key(key) if full else f".policy.{name}"
    if name not in policy or new is None:
        return ""
    return f"; {under_policy(f'${{{new}}}')}"
