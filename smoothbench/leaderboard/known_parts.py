"""Parts of a submitted record that may be built here: classes that conf/ names, and no others.

A record comes from somebody else, and its configuration names classes by import path: to build any class that it
names would run whatever code it likes.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from hydra.utils import get_object

from smoothbench.config.declared_names import classes_by_name, targets
from smoothbench.config.instantiate import build_model
from smoothbench.config.moved import moved
from smoothbench.protocols import Model
from smoothbench.results.plug_ins import current_node
from smoothbench.sampling.devices import device_of
from smoothbench.storage.record import Record

GROUPS = ("model", "solver", "cache", "metrics")


def are_known(node: object) -> bool:
    """Whether every class and function that a configuration names is one of conf/, or stands where one was."""
    if isinstance(node, Mapping):
        target = moved(dict(node)).get("_target_") if "_target_" in node else None
        known = target is None or any(target in targets(group) for group in GROUPS)
        return known and all(are_known(value) for value in node.values())
    return all(map(are_known, node)) if isinstance(node, list | tuple) else True


def known_model(record: Record) -> Model | None:
    """Build the model of a record without its weights; None where it is none of conf/, or cannot be built here."""
    node, described = record.config.get("model"), record.described
    paths = classes_by_name("model")
    if not isinstance(node, Mapping) or described is None or described.model.kind not in paths:
        return None
    if not are_known({key: value for key, value in node.items() if key != "_target_"}):
        return None
    current = current_node(node, described.model.to_json(), paths, "its model")
    try:
        return build_model(current, device_of("cpu"))
    except Exception:  # of another machine: a folder of weights or an extra that is not here
        return None


@cache
def known_class(group: str, name: str | None) -> Any:
    """Return the class of conf/<group> that declares a name; None where there is none."""
    path = classes_by_name(group).get(name) if name else None
    return None if path is None else get_object(path)
