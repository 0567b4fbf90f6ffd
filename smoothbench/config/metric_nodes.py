"""What a configuration says of metrics, checked without building them."""

import re
from typing import Any

from smoothbench.config.instantiate import check_arguments
from smoothbench.errors import UsageError
from smoothbench.protocols import Config


def check_metrics(nodes: Config) -> None:
    """UsageError where a metric's node is none, or its parts do not take their arguments."""
    for name, node in nodes.items():
        where = f"metrics.{name}"
        check_metric(where, name, node)
        for part in (each for each in node.values() if isinstance(each, dict)):
            check_arguments(part, where)


def check_metric(where: str, name: str, node: Any) -> None:
    """UsageError where a node of `metrics` has not the parts of one, or others."""
    if not re.fullmatch(r"[\w-]+", name):
        raise UsageError(f"{where}: a metric's name is of letters, digits, _ and -")
    if not isinstance(node, dict) or not isinstance(node.get("metric"), dict):
        raise UsageError(f"{where} must have a metric with a _target_ (and may have an encoder and real)")
    if unknown := node.keys() - {"metric", "encoder", "real"}:
        raise UsageError(f"{where}.{min(map(str, unknown))}: there are metric, encoder and real")
    if not isinstance(node.get("encoder", {}), dict):
        raise UsageError(f"{where}.encoder must be a node with a _target_, not {node['encoder']!r:.60}")
