"""Fingerprints of the code that decides a plug-in's numbers, so that results of different code are told apart.

A fingerprint covers the definition of a class and, transitively, what it uses of its own project: functions,
constants, base classes. Comments, docstrings, layout, imports and the place of a definition do not matter.
"""

import ast
import json
import os
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
NETWORKS = ("models", "evaluators", "media")  # rooms that one network may take its code from
Imported = tuple[str, str | None]  # a module and a name in it; None: all of it


def fingerprint(*plugins: Any) -> str:
    """Hash the code of classes and functions to twelve hexadecimal digits of a sha256.

    It is the same from Python 3.11 to 3.13 for code with source. A class of a notebook, which has none, counts by its
    bytecode. What a class uses is followed within its top-level package (in ours within its room, for instance
    `smoothbench.solvers`, or the rooms of networks), and to base classes in any project; installed packages are not
    followed.
    """
    texts = {text for plugin in plugins for origin in _origins(plugin) for text in _code(origin)}
    return sha256("\n".join(sorted(texts)).encode()).hexdigest()[:12]


def version_of(plugin: Any) -> int | None:
    """The `version` that a class (or an object's class) declares in its own body; None if it only inherits one."""
    version = vars(plugin if isinstance(plugin, type) else type(plugin)).get("version")
    return version if type(version) is int else None


def code_of(plugin: Any) -> dict[str, Any]:
    """Return the version and the fingerprint of an object's class, as a record holds them."""
    return {"version": version_of(plugin), "source": fingerprint(type(plugin))}


@dataclass(frozen=True)
class _Module:
    """The definitions and imports of a module, by name, and the modules that it imports by `*`."""

    definitions: Mapping[str, tuple[ast.stmt, ...]]
    imports: Mapping[str, tuple[Imported, ...]]
    everything: tuple[str, ...]


def _origins(plugin: Any) -> list[Any]:
    """A function, or a class with those of its base classes that are not from installed packages."""
    while isinstance(plugin, partial):
        plugin = plugin.func
    plugin = unwrap(plugin) if callable(plugin) else type(plugin)
    if not isinstance(plugin, type):
        return [plugin if hasattr(plugin, "__qualname__") else type(plugin)]
    return [plugin, *(base for base in plugin.__mro__[1:] if not _installed(base.__module__))]


def _code(origin: Any) -> Iterator[str]:
    """Yield the definitions that make up a class or function, as text."""
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
        uses = [*imported, *(use for definition in definitions for use in _uses(place[0], definition))]
        waiting += [found for use in uses if _within(use[0], rooms) for found in _places(use)]


def _definition(module: str, name: str) -> tuple[tuple[ast.stmt, ...], list[Imported]]:
    """The definitions of a name in a module, and the imports that the module has it from."""
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
        return [(module, defined) for defined in parsed.definitions]
    if name in parsed.definitions or name in parsed.imports:
        return [(module, name)]
    return _places((f"{module}.{name}", None))


def _uses(module: str, definition: ast.stmt) -> Iterator[Imported]:
    """Yield the names that a definition mentions and that its module, or an import inside it, defines."""
    parsed = _module(module)
    assert parsed is not None
    names, imports = _mentions(definition)
    yield from ((module, name) for name in names if name in parsed.definitions or name in parsed.imports)
    yield from (imported for statement in imports for _, imported in _imports(statement, _package(module)))
    yield from ((name, None) for name in parsed.everything)


@cache  # keyed by the node itself: `_parsed` gives the same node for the same source
def _mentions(definition: ast.stmt) -> tuple[frozenset[str], tuple[ast.stmt, ...]]:
    """The names in a definition, and the imports inside it."""
    nodes = list(ast.walk(definition))
    names = frozenset(node.id for node in nodes if isinstance(node, ast.Name))
    return names, tuple(node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom))


@cache
def _text(definition: ast.stmt) -> str:
    return json.dumps(_plain(definition))


def _plain(node: Any) -> Any:
    """Convert a syntax tree to nested lists that are the same in every version of Python."""
    if isinstance(node, ast.AST):
        fields = ((key, _plain(value)) for key, value in ast.iter_fields(node) if key != "kind")
        return [type(node).__name__, *(field for field in fields if field[1] not in (None, []))]
    if isinstance(node, list):
        return [_plain(child) for child in node if not _is_ignored(child)]
    return None if node is None else repr(node)


def _is_ignored(node: Any) -> bool:
    """Whether a statement is a docstring or an import; the names that an import binds are followed instead."""
    text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return isinstance(node, ast.Import | ast.ImportFrom) or (text and isinstance(node.value.value, str))


def _module(name: str) -> _Module | None:
    """The definitions and imports of a module; None where it has no source."""
    file = _file(name)
    if file is None or not file.endswith(".py"):
        return None
    try:
        state = os.stat(file)
        return _parsed(_source(file, state.st_mtime_ns, state.st_size), _package(name))
    except (OSError, SyntaxError, ValueError):
        return None


@cache  # by its time and size: an experiment asks for the same files at every point
def _source(file: str, changed: int, size: int) -> bytes:
    return Path(file).read_bytes()


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
    """Yield the statements of a module, also those inside `if`, `try`, `with` and loops."""
    for statement in body:
        yield statement
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            blocks = [getattr(statement, key, []) for key in ("body", "orelse", "finalbody")]
            blocks += [handler.body for handler in getattr(statement, "handlers", [])]
            yield from (inner for block in blocks for inner in _statements(block))


def _names(statement: ast.stmt) -> set[str]:
    """The names that a statement defines or changes (`TABLE["key"] = value`, `TABLE.update(...)`)."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Assign):
        targets: list[ast.expr | None] = [*statement.targets]
    elif isinstance(statement, ast.With | ast.AsyncWith):
        targets = [item.optional_vars for item in statement.items]
    else:  # of a call every name counts, because any of them may be what it changes
        targets = [statement.value if isinstance(statement, ast.Expr) else getattr(statement, "target", None)]
    nodes = (node for target in targets if target is not None for node in ast.walk(target))
    return {node.id for node in nodes if isinstance(node, ast.Name)}


def _imports(statement: ast.stmt, package: str) -> Iterator[tuple[str, Imported]]:
    """Yield the names that an import binds, with what they stand for; nothing for another statement."""
    if isinstance(statement, ast.Import):
        yield from (
            (alias.asname or alias.name.partition(".")[0], (alias.name, None)) for alias in statement.names
        )
    if isinstance(statement, ast.ImportFrom):
        module = resolve_name("." * statement.level + (statement.module or ""), package)
        for alias in statement.names:
            yield alias.asname or alias.name, (module, None if alias.name == "*" else alias.name)


def _file(module: str) -> str | None:
    """The file of a module, not as a Path: a fingerprint asks for it thousands of times."""
    try:
        spec = None if module in sys.modules else find_spec(module)
    except (ImportError, ValueError, AttributeError):
        return None
    file = getattr(sys.modules.get(module), "__file__", None) or getattr(spec, "origin", None)
    return file if isinstance(file, str) else None


def _package(module: str) -> str:
    file = _file(module)
    is_package = file is not None and os.path.basename(file).partition(".")[0] == "__init__"
    return module if is_package else module.rpartition(".")[0]


def _room(module: str) -> tuple[str, ...]:
    """The packages within which uses are followed: the top-level one, rooms of the harness, or an installed module."""
    if _installed(module):
        return (module,)
    top, *inner = module.split(".")
    if top != HARNESS or not inner:
        return (top,)
    return tuple(f"{HARNESS}.{room}" for room in (NETWORKS if inner[0] in NETWORKS else inner[:1]))


def _within(module: str, rooms: tuple[str, ...]) -> bool:
    return any(module == room or module.startswith(f"{room}.") for room in rooms)


def _installed(module: str) -> bool:
    """Whether a module is Python's own or lies in site-packages: then its release identifies its code."""
    file = _file(module)
    if file is None:
        return module.partition(".")[0] in sys.stdlib_module_names and module != "__main__"
    places = (sysconfig.get_path(key) for key in ("stdlib", "platstdlib", "purelib", "platlib"))
    return any(Path(file).is_relative_to(place) for place in places)
