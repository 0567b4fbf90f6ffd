"""The node of a caching method: what builds it stands under `policy`, what the harness reads stands beside that.

Until version 0.1 class and parameters stood at the top of the node. Whoever still spells a key so is told the new
spelling: in an override, in a YAML, in a sweep and in an interpolation.
"""

import re
from typing import Any

from smoothbench.config.validate import is_text, shown
from smoothbench.errors import UsageError

KEYS = ("policy", "predictor", "family", "label", "training")
LONGEST_NAME = 400  # letters of a label or a family


def check_keys_of_cache(node: Any, where: str) -> None:
    """Check the keys of a node that is not resolved yet; UsageError with the new spelling for an old key."""
    if unknown := [key for key in node if key not in KEYS]:
        raise UsageError(
            f"{where}.{shown(unknown[0])}: {_under_policy(f'{where}.policy.{shown(unknown[0])}')}"
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


def new_spelling(key: str) -> str | None:
    """Say how a full key is spelled now, in a clause; None where it is no old spelling."""
    parts = re.fullmatch(r"((?:points\.[^.]+\.|reference\.)?(?:cache|published))\.([^.]+)(.*)", key)
    if parts is None or parts[2] in KEYS:
        return None
    return _under_policy(f"{parts[1]}.policy.{parts[2]}{parts[3]}")


def old_override(message: str) -> str | None:
    """Say how an override is spelled now that Hydra refuses by this message; None where it is no old spelling."""
    refused = re.search(r"Could not (?:override|delete from config\. The value of) '([^']+)'", message)
    spelling = refused and new_spelling(refused[1])
    return f"{refused[1]}: {spelling}" if refused and spelling else None


def new_interpolation(message: str, cache: Any) -> str:
    """Say how a parameter of a method is interpolated now, where the message of OmegaConf names one; or nothing."""
    name = re.search(r"Interpolation key '([^'.]+)[^']*' not found", message)
    policy = cache.get("policy") if isinstance(cache, dict) else None
    if name is None or not isinstance(policy, dict) or name[1] not in policy:
        return ""
    return f"; {_under_policy(f'${{.policy.{name[1]}}}')}"


def _under_policy(spelling: str) -> str:
    return f"class and parameters of a method are under policy now: {spelling}"
