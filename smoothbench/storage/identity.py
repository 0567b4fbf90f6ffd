"""What a part is, for identities and records: name, version and parameters, never where its code or files lie.

A plug-in class declares in its own body `name`, unique among its kind (a model's class `kind`, as `name` is the
model's own), and `version`, which rises when the same parameters give other numbers than before. `digested` names
the parameters that are files or tables, of which the object's `digest` counts. A class without a name goes by its
own, one without a version by its source.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from inspect import signature
from typing import Any

from hydra.utils import get_object

from smoothbench.errors import UsageError
from smoothbench.protocols import Config, Digested, DigestsParameters, Model
from smoothbench.storage.code_fingerprint import fingerprint, version_of

PLAIN = (str, int, float, bool, type(None))


def describe(part: Any, node: Any = None, by_source: bool = True) -> Config:
    """Name, version, parameters with defaults filled in, and digest of a part; nested parts likewise.

    Args: node, the configuration that the part was built from; by_source, whether the source of a class without
    a version counts.
    """
    known = {
        **called(part),
        **_edition(part, node, by_source),
        "parameters": _parameters(part, node, by_source),
    }
    return known | _digest(part)


def describe_model(model: Model) -> Config:
    """Kind and version of a model's class, with the model's own identity."""
    name = name_of(model)
    kind = {"class": type(model).__qualname__} if name is None else {"kind": name}
    return {**kind, **_edition(model, None, True), "identity": dict(model.identity)}


def name_of(part: Any) -> str | None:
    """The name that a class itself declares, or an object's class; None where it only inherits one."""
    declared = vars(part if isinstance(part, type) else type(part))
    name = declared.get("kind", declared.get("name"))
    return name if isinstance(name, str) and name else None


def called(part: Any) -> dict[str, str]:
    """By what an object's class goes."""
    name = name_of(part)
    return {"class": type(part).__qualname__} if name is None else {"name": name}


def claim(taken: dict[str, type], part: Any, where: str) -> None:
    """Take a part's name among those of its kind; UsageError where another class with other code has it."""
    name, own = name_of(part), type(part)
    first = taken.setdefault(name or own.__qualname__, own)
    if name is not None and first is not own and fingerprint(first) != fingerprint(own):
        raise UsageError(
            f"{where}: {own.__module__}.{own.__qualname__} has the name {name!r}, as "
            f"{first.__module__}.{first.__qualname__} has, whose results would pass for its own: give it another `name`"
        )


def source_of(node: Any, part: Any) -> str:
    """Fingerprint of the code of everything that a node names, and of the class of what was built of it."""
    return fingerprint(*_targets(node), type(part))


def _edition(part: Any, node: Any, by_source: bool) -> dict[str, str | int]:
    """A version, the first that gave the same numbers where the class itself can tell (`numbers_since`)."""
    version = version_of(part)
    if version is not None:
        return {"version": part.numbers_since if "numbers_since" in vars(type(part)) else version}
    return {"source": source_of(node, part)} if by_source else {}


def _digest(part: Any) -> dict[str, str]:
    digest = part.digest if isinstance(part, Digested) else None
    return {"digest": digest} if isinstance(digest, str) and digest else {}  # a list of prompts has a method


def _parameters(part: Any, node: Any, by_source: bool) -> Config:
    """All but the digested ones; those of a dataclass as it has them, of another class as its node gives them."""
    nodes = dict(node) if _is_node(node) else {}
    if is_dataclass(part):
        values = {each.name: getattr(part, each.name) for each in fields(part) if each.init}
    else:
        values = _defaults(nodes.get("_target_")) | {
            key: each for key, each in nodes.items() if key != "_target_"
        }
        values |= {key: getattr(part, key, None) for key, each in values.items() if _is_node(each)}
    omitted = part.digested if isinstance(part, DigestsParameters) else ()
    return {
        key: _value(value, nodes.get(key), by_source) for key, value in values.items() if key not in omitted
    }


def _value(value: Any, node: Any, by_source: bool) -> Any:
    """A parameter: plain data, or a part with the node that it was built from."""
    if name_of(value) is not None or version_of(value) is not None:
        return describe(value, node, by_source)
    if _is_node(node):
        return _made(node, value, by_source)
    if isinstance(value, Mapping):
        return {str(key): _value(each, each, by_source) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_value(each, each, by_source) for each in value]
    return value if isinstance(value, PLAIN) else {"class": type(value).__qualname__, **_digest(value)}


def _made(node: Config, part: Any, by_source: bool) -> Config:
    """What a function, or a class that declares nothing, has made of a node."""
    target = get_object(node["_target_"])
    source = {"source": source_of(node, part)} if by_source else {}
    given = {key: _value(each, each, by_source) for key, each in node.items() if key != "_target_"}
    return {"class": target.__qualname__, **source, "parameters": given, **_digest(part)}


def _defaults(target: str | None) -> Config:
    """The defaults of a class or function by its path; none where it does not say."""
    try:
        parameters = signature(get_object(target)).parameters if target else {}
    except (TypeError, ValueError):
        return {}
    return {key: each.default for key, each in parameters.items() if each.default is not each.empty}


def _targets(node: Any) -> list[Any]:
    if not isinstance(node, Mapping):
        return []
    inner = [part for value in node.values() for part in _targets(value)]
    return [get_object(node["_target_"]), *inner] if _is_node(node) else inner


def _is_node(value: Any) -> bool:
    return isinstance(value, Mapping) and "_target_" in value


def canonical(data: Any) -> str:
    """JSON with sorted keys: equal data, equal text; 2.0 is 2."""
    return json.dumps(_plain(data), sort_keys=True, separators=(",", ":"))


def _plain(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _plain(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_plain(value) for value in data]
    return int(data) if isinstance(data, float) and data.is_integer() else data


def identity(data: Any) -> str:
    """The first 12 hexadecimal digits of the sha256 of canonical data."""
    return hashlib.sha256(canonical(data).encode()).hexdigest()[:12]
