"""Describe plug-ins for identities and records: by name, version and parameters, never by where code or files lie.

A plug-in class declares in its own body `name`, unique among plug-ins of its kind (a model class declares `kind`,
because `name` is the model's own), and `version`, which rises when the same parameters give other numbers than
before. `digested` lists the parameters that are files or tables: they count by the object's `digest`. `gained` holds
parameters that came later, with the value at which they do not count. A class without
a `name` is identified by its class name, a class without a `version` by the fingerprint of its source.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from inspect import signature
from typing import Any

from hydra.utils import get_object

from smoothbench.errors import UsageError
from smoothbench.protocols import Config, Digested, DigestsParameters, GainedParameters, Model
from smoothbench.storage.code_fingerprint import fingerprint, version_of

PLAIN = (str, int, float, bool, type(None))


def describe(plugin: Any, node: Any = None, by_source: bool = True) -> Config:
    """Describe a plug-in by name, version, parameters (defaults filled in) and digest; nested plug-ins likewise.

    Args: node, the configuration that the plug-in was built from; by_source, whether the source of a class without
    a version counts.
    """
    known = {
        **called(plugin),
        **_edition(plugin, node, by_source),
        "parameters": _parameters(plugin, node, by_source),
    }
    return known | _digest(plugin)


def describe_model(model: Model) -> Config:
    """Describe a model by the kind and version of its class and by the model's own identity."""
    name = name_of(model)
    kind = {"class": type(model).__qualname__} if name is None else {"kind": name}
    return {**kind, **_edition(model, None, True), "identity": dict(model.identity)}


def name_of(plugin: Any) -> str | None:
    """The name that a class (or an object's class) declares in its own body; None if it only inherits one."""
    declared = vars(plugin if isinstance(plugin, type) else type(plugin))
    name = declared.get("kind", declared.get("name"))
    return name if isinstance(name, str) and name else None


def called(plugin: Any) -> dict[str, str]:
    """Return what identifies an object's class: the name that it declares, else its class name."""
    name = name_of(plugin)
    return {"class": type(plugin).__qualname__} if name is None else {"name": name}


def claim(taken: dict[str, type], plugin: Any, where: str) -> None:
    """Enter a plug-in's name into those taken by its kind; UsageError where a class with other code has taken it."""
    name, cls = name_of(plugin), type(plugin)
    first = taken.setdefault(name or cls.__qualname__, cls)
    if name is not None and first is not cls and fingerprint(first) != fingerprint(cls):
        raise UsageError(
            f"{where}: {cls.__module__}.{cls.__qualname__} has the name {name!r}, as "
            f"{first.__module__}.{first.__qualname__} has, whose results would pass for its own: give it another `name`"
        )


def source_of(node: Any, plugin: Any) -> str:
    """Return the fingerprint of all classes and functions that a node names, and of the class that it built."""
    return fingerprint(*_targets(node), type(plugin))


def _edition(plugin: Any, node: Any, by_source: bool) -> dict[str, str | int]:
    """The version; the first one with the same numbers if the class can tell it (`numbers_since`). Else the source."""
    version = version_of(plugin)
    if version is not None:
        return {"version": plugin.numbers_since if "numbers_since" in vars(type(plugin)) else version}
    return {"source": source_of(node, plugin)} if by_source else {}


def _digest(plugin: Any) -> dict[str, str]:
    digest = plugin.digest if isinstance(plugin, Digested) else None
    return {"digest": digest} if isinstance(digest, str) and digest else {}  # a list of prompts has a method


def _parameters(plugin: Any, node: Any, by_source: bool) -> Config:
    """All parameters but the digested ones and gained ones at their old value.

    They come from the fields of a dataclass, for other classes from the node.
    """
    nodes = dict(node) if is_node(node) else {}
    given = {key: value for key, value in nodes.items() if key != "_target_"}
    if is_dataclass(plugin):
        values = {field.name: getattr(plugin, field.name) for field in fields(plugin) if field.init}
        # what the constructor takes beside the fields: an InitVar, or the parameter of a subclass's own __init__
        beside = _defaults(type(plugin)) | given
        values |= {key: value for key, value in beside.items() if key not in values}
    else:
        values = _defaults(get_object(nodes["_target_"]) if nodes else None) | given
        values |= {key: getattr(plugin, key, None) for key, value in values.items() if is_node(value)}
    omitted = set(plugin.digested if isinstance(plugin, DigestsParameters) else ())
    if isinstance(plugin, GainedParameters):
        omitted |= {key for key, before in plugin.gained.items() if values.get(key) == before}
    return {
        key: _value(value, nodes.get(key), by_source) for key, value in values.items() if key not in omitted
    }


def _value(value: Any, node: Any, by_source: bool) -> Any:
    """A parameter as data: plain data as it is, a plug-in (with the node that it was built from) described."""
    if name_of(value) is not None or version_of(value) is not None:
        return describe(value, node, by_source)
    if is_node(node):
        return _made(node, value, by_source)
    if isinstance(value, Mapping):
        by_key = node if isinstance(node, Mapping) else {}
        return {str(key): _value(entry, by_key.get(key, entry), by_source) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        at = node if isinstance(node, list | tuple) and len(node) == len(value) else value
        return [_value(entry, entry_node, by_source) for entry, entry_node in zip(value, at, strict=True)]
    if isinstance(value, PLAIN):
        finite = not isinstance(value, float) or math.isfinite(value)
        return value if finite else str(value)  # a record is JSON, which has no infinity
    digest = _digest(value)
    if digest or node is None or node is value:
        return {"class": type(value).__qualname__, **digest}
    # an object that the class made of a plain value: what it was configured with
    return _value(node, node, by_source)


def _made(node: Config, plugin: Any, by_source: bool) -> Config:
    """Describe an object that a function, or a class without name and version, made from a node."""
    target = get_object(node["_target_"])
    source = {"source": source_of(node, plugin)} if by_source else {}
    given = {key: _value(value, value, by_source) for key, value in node.items() if key != "_target_"}
    return {"class": target.__qualname__, **source, "parameters": given, **_digest(plugin)}


def _defaults(target: Any) -> Config:
    """The default parameters of a class or function; none where it has no signature."""
    try:
        parameters = signature(target).parameters if target is not None else {}
    except (TypeError, ValueError):
        return {}
    return {name: one.default for name, one in parameters.items() if one.default is not one.empty}


def _targets(node: Any) -> list[Any]:
    if not isinstance(node, Mapping):
        return []
    inner = [plugin for value in node.values() for plugin in _targets(value)]
    return [get_object(node["_target_"]), *inner] if is_node(node) else inner


def is_node(value: Any) -> bool:
    """Whether a value is a configuration node, from which an object is built."""
    return isinstance(value, Mapping) and "_target_" in value


def canonical(data: Any) -> str:
    """Write data as JSON with sorted keys, so that equal data give equal text; 2.0 is written as 2."""
    return json.dumps(_plain(data), sort_keys=True, separators=(",", ":"))


def _plain(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _plain(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_plain(value) for value in data]
    return int(data) if isinstance(data, float) and data.is_integer() else data


def identity(data: Any) -> str:
    """Hash data to an id: the first 12 hexadecimal digits of the sha256 of its canonical JSON."""
    return hashlib.sha256(canonical(data).encode()).hexdigest()[:12]
