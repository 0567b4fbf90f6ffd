"""The code that decides a plug-in's numbers, as a fingerprint: results of other code are not taken for its own.

A class is what its definition says, and what that uses of its own project, transitively: helpers, constants, base
classes. Comments, docstrings, layout, imports and the place of a definition do not matter.
"""

import ast
import json
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from hashlib import sha256
from importlib.util import find_spec, resolve_name
from inspect import unwrap
from pathlib import Path
from typing import Any

from smoothbench.storage.bytecode import bytecode_of

HARNESS = __name__.partition(".")[0]
NETWORKS = ("models", "evaluators", "media")  # rooms whose code makes up one network
Imported = tuple[str, str | None]  # a module and a name in it; None: all of it


def fingerprint(*parts: Any) -> str:
    """Twelve hexadecimal digits of the sha256 over the code of classes and functions.

    The same from Python 3.11 to 3.13 where there is source. A class of a notebook, which has none, counts by its
    bytecode. Uses are followed within the top-level package of a class (in ours, within its room, as
    `smoothbench.solvers`, or the rooms of networks), and to base classes wherever they lie; not into installed
    packages.
    """
    texts = {text for part in parts for origin in _origins(part) for text in _code(origin)}
    return sha256("\n".join(sorted(texts)).encode()).hexdigest()[:12]


def version_of(part: Any) -> int | None:
    """The version that a class itself declares, or an object's class; None where it only inherits one."""
    version = vars(part if isinstance(part, type) else type(part)).get("version")
    return version if type(version) is int else None


def code_of(part: Any) -> dict[str, Any]:
    """Version and fingerprint of an object's class, for a record."""
    return {"version": version_of(part), "source": fingerprint(type(part))}


@dataclass(frozen=True)
class _Module:
    """What a module defines and imports, by name, and what it imports all names of."""

    definitions: Mapping[str, tuple[ast.stmt, ...]]
    imports: Mapping[str, tuple[Imported, ...]]
    everything: tuple[str, ...]


def _origins(part: Any) -> list[Any]:
    """A function, or a class and its base classes that are not installed ones."""
    while isinstance(part, partial):
        part = part.func
    part = unwrap(part) if callable(part) else type(part)
    if not isinstance(part, type):
        return [part if hasattr(part, "__qualname__") else type(part)]
    return [part, *(base for base in part.__mro__[1:] if not _installed(base.__module__))]


def _code(origin: Any) -> Iterator[str]:
    """The definitions that make up a class or function, each as text."""
    module, name = origin.__module__, origin.__qualname__.partition(".")[0]
    parsed = _module(module)
    if parsed is None or name not in parsed.definitions:
        yield from map(json.dumps, bytecode_of(origin))
        return
    rooms, waiting, seen = _room(module), [(module, name)], set()
    while waiting:
        place = waiting.pop()
        if place in seen:
            continue
        seen.add(place)
        definitions, imported = _definition(*place)
        yield from map(_text, definitions)
        uses = [*imported, *(use for each in definitions for use in _uses(place[0], each))]
        waiting += [each for use in uses if _within(use[0], rooms) for each in _places(use)]


def _definition(module: str, name: str) -> tuple[tuple[ast.stmt, ...], list[Imported]]:
    """The definition of a name in a module, or where the module has it from."""
    parsed = _module(module)
    if parsed is None:
        return (), []
    return parsed.definitions.get(name, ()), list(parsed.imports.get(name, ()))


def _places(imported: Imported) -> list[tuple[str, str]]:
    """The definitions that an import can mean: a name of a module, or all names of one."""
    module, name = imported
    parsed = _module(module)
    if parsed is None:
        return []
    if name is None:
        return [(module, each) for each in parsed.definitions]
    if name in parsed.definitions or name in parsed.imports:
        return [(module, name)]
    return _places((f"{module}.{name}", None))


def _uses(module: str, definition: ast.stmt) -> Iterator[Imported]:
    """The names that a definition mentions, as far as its module or the definition itself knows them."""
    parsed = _module(module)
    assert parsed is not None
    names, imports = _mentions(definition)
    yield from ((module, name) for name in names if name in parsed.definitions or name in parsed.imports)
    yield from (imported for each in imports for _, imported in _imports(each, _package(module)))
    yield from ((each, None) for each in parsed.everything)


@cache  # by the node itself, which is the same for the same source
def _mentions(definition: ast.stmt) -> tuple[frozenset[str], tuple[ast.stmt, ...]]:
    """The names in a definition, and the imports inside it."""
    nodes = list(ast.walk(definition))
    names = frozenset(node.id for node in nodes if isinstance(node, ast.Name))
    return names, tuple(node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom))


@cache
def _text(definition: ast.stmt) -> str:
    return json.dumps(_plain(definition))


def _plain(node: Any) -> Any:
    """A syntax tree as nested lists; the same from every version of Python."""
    if isinstance(node, ast.AST):
        fields = ((key, _plain(value)) for key, value in ast.iter_fields(node) if key != "kind")
        return [type(node).__name__, *(field for field in fields if field[1] not in (None, []))]
    if isinstance(node, list):
        return [_plain(each) for each in node if not _silent(each)]
    return None if node is None else repr(node)


def _silent(node: Any) -> bool:
    """Docstrings, and imports: what they name is followed instead."""
    text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return isinstance(node, ast.Import | ast.ImportFrom) or (text and isinstance(node.value.value, str))


def _module(name: str) -> _Module | None:
    """A module's source, taken apart; None where it has none."""
    file = _file(name)
    if file is None or file.suffix != ".py":
        return None
    try:
        return _parsed(file.read_bytes(), _package(name))
    except (OSError, SyntaxError, ValueError):
        return None


@cache
def _parsed(source: bytes, package: str) -> _Module:
    definitions: dict[str, tuple[ast.stmt, ...]] = {}
    imports: dict[str, tuple[Imported, ...]] = {}
    for statement in _statements(ast.parse(source).body):
        for name, imported in _imports(statement, package):
            imports[name] = (*imports.get(name, ()), imported)
        for name in _names(statement):
            definitions[name] = (*definitions.get(name, ()), statement)
    return _Module(definitions, imports, tuple(module for module, _ in imports.get("*", ())))


def _statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module, also those under `if`, `try`, `with` and loops."""
    for statement in body:
        yield statement
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            blocks = [getattr(statement, key, []) for key in ("body", "orelse", "finalbody")]
            blocks += [handler.body for handler in getattr(statement, "handlers", [])]
            yield from (inner for block in blocks for inner in _statements(block))


def _names(statement: ast.stmt) -> set[str]:
    """What a statement defines, or changes (`TABLE["key"] = value`, `TABLE.update(...)`)."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Assign):
        targets: list[ast.expr | None] = [*statement.targets]
    elif isinstance(statement, ast.With | ast.AsyncWith):
        targets = [item.optional_vars for item in statement.items]
    else:  # the whole of a call, as any name in it may be what is changed
        targets = [statement.value if isinstance(statement, ast.Expr) else getattr(statement, "target", None)]
    nodes = (node for target in targets if target is not None for node in ast.walk(target))
    return {node.id for node in nodes if isinstance(node, ast.Name)}


def _imports(statement: ast.stmt, package: str) -> Iterator[tuple[str, Imported]]:
    """What an import binds, each with its name here; nothing for another statement."""
    if isinstance(statement, ast.Import):
        yield from (
            (each.asname or each.name.partition(".")[0], (each.name, None)) for each in statement.names
        )
    if isinstance(statement, ast.ImportFrom):
        module = resolve_name("." * statement.level + (statement.module or ""), package)
        for each in statement.names:
            yield each.asname or each.name, (module, None if each.name == "*" else each.name)


def _file(module: str) -> Path | None:
    try:
        spec = None if module in sys.modules else find_spec(module)
    except (ImportError, ValueError, AttributeError):
        return None
    file = getattr(sys.modules.get(module), "__file__", None) or getattr(spec, "origin", None)
    return Path(file) if isinstance(file, str) else None


def _package(module: str) -> str:
    file = _file(module)
    return module if file is not None and file.stem == "__init__" else module.rpartition(".")[0]


def _room(module: str) -> tuple[str, ...]:
    """How far uses are followed: the top-level package, rooms of the harness, or an installed module alone."""
    if _installed(module):
        return (module,)
    top, *parts = module.split(".")
    if top != HARNESS or not parts:
        return (top,)
    return tuple(f"{HARNESS}.{room}" for room in (NETWORKS if parts[0] in NETWORKS else parts[:1]))


def _within(module: str, rooms: tuple[str, ...]) -> bool:
    return any(module == room or module.startswith(f"{room}.") for room in rooms)


def _installed(module: str) -> bool:
    """Whether a module is Python's own or lies in site-packages: what it is, its release says."""
    file = _file(module)
    if file is None:
        return module.partition(".")[0] in sys.stdlib_module_names and module != "__main__"
    places = (sysconfig.get_path(key) for key in ("stdlib", "platstdlib", "purelib", "platlib"))
    return any(file.is_relative_to(place) for place in places)
