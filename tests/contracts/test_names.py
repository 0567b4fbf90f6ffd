"""Names and docstrings of the packages: no pronoun or participle alone, and a docstring on all that is public."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("smoothbench", "baselines", "metrics")
BARE = {"each", "found", "asked", "said", "told", "kept", "held", "own", "alike", "odd", "lacks", "whole"}
NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler, ast.MatchAs)
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@cache  # parsing takes a second
def modules() -> list[tuple[str, ast.Module]]:
    paths = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return [(str(path.relative_to(ROOT)), ast.parse(path.read_text())) for path in paths]


def bound(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield names and lines of all that is bound or defined, but for comprehensions' names."""
    loops = [node.target for node in ast.walk(tree) if isinstance(node, ast.comprehension)]
    inside = {id(node) for target in loops for node in ast.walk(target)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and id(node) not in inside:
            yield node.id, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr, node.lineno
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((alias.asname, node.lineno) for alias in node.names if alias.asname)
        elif isinstance(node, NAMED) and node.name:
            yield node.name, node.lineno


def test_names_say_what_they_hold() -> None:
    bare = [f"{file}:{line} {name}" for file, tree in modules() for name, line in bound(tree) if name in BARE]
    assert not bare, "; ".join([*bare, "docs/glossary.md has words"])


def test_docstrings_are_there_and_begin_with_a_subject() -> None:
    for file, tree in modules():
        for node in (node for node in ast.walk(tree) if isinstance(node, DOCUMENTED)):
            name, text = getattr(node, "name", "the module"), ast.get_docstring(node)
            assert not (text or "").startswith("Of "), f"{file}: {name}"
            public = node is tree or (node in tree.body and not name.startswith("_"))
            assert text or not public, f"{file}: {name} has no docstring"
