"""From what a record says of a part to a configuration that builds it today: by the class's name, not by its place."""

from collections.abc import Mapping
from typing import Any

from hydra.utils import get_object

from smoothbench.config.moved import moved
from smoothbench.errors import UsageError
from smoothbench.storage.identity import name_of


def current_node(
    node: Mapping[str, Any], description: Mapping[str, Any], paths: Mapping[str, str], where: str
) -> dict[str, Any]:
    """A part's configuration with the import path of today's class, and with all recorded parameters.

    Args: node, the recorded configuration; description, the recorded name, version and parameters; paths, from
    `classes_by_name`. A class without a name goes by its recorded path. Raises UsageError, naming the part, where no
    class has the name.
    """
    node = dict(moved(node))
    name = description.get("name", description.get("kind"))
    if name is None:
        return node
    path = _path(str(name), node.get("_target_"), paths, where)
    parameters = description.get("parameters") or {}
    return {**node, **_values(node, parameters, paths, where), "_target_": path}


def check_same(recorded: Mapping[str, Any], built: Mapping[str, Any], where: str) -> None:
    """Raise UsageError where a part as built, or a part of it, has another version or file than the recorded one.

    Args: recorded, built, descriptions as `smoothbench.storage.identity.describe` gives them.
    """
    name = recorded.get("name", recorded.get("kind"))
    if name is not None and recorded.get("version") != built.get("version"):
        raise UsageError(
            f"{where}: made by version {recorded.get('version')} of {name}, which gives other numbers than version "
            f"{built.get('version')} of now: run it again"
        )
    if name is not None and recorded.get("digest") != built.get("digest"):
        raise UsageError(
            f"{where}: a file of {name} has another content than when it was recorded: run it again"
        )
    parameters = built.get("parameters") or {}
    for key, value in (recorded.get("parameters") or {}).items():
        if isinstance(value, Mapping) and isinstance(parameters.get(key), Mapping):
            check_same(value, parameters[key], f"{where}.{key}")


def _values(
    node: Mapping[str, Any], parameters: Mapping[str, Any], paths: Mapping[str, str], where: str
) -> dict[str, Any]:
    """Recorded parameters; one that is a part itself as a configuration, where the record has one."""
    values = {}
    for key, value in parameters.items():
        if isinstance(node.get(key), Mapping) and isinstance(value, Mapping) and "_target_" in node[key]:
            values[key] = current_node(node[key], value, paths, f"{where}.{key}")
        elif not (isinstance(value, Mapping) and {"class", "name"} & value.keys()):
            values[key] = value
    return values


def _path(name: str, recorded: Any, paths: Mapping[str, str], where: str) -> str:
    """Where the class of a name lies: in conf/, or, of a user's own configuration, where the record says."""
    if name in paths:
        return paths[name]
    try:
        if name_of(get_object(recorded)) == name:
            return str(recorded)
    except Exception:  # moved or gone, or whatever its module raises
        pass
    known = ", ".join(sorted(paths))
    raise UsageError(f"{where}: no class of conf/ has the name {name}: there are {known}")
