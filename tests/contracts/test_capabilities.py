"""Capabilities are protocols, and the documents list all of them."""

import ast
import re
from pathlib import Path

import pytest

import smoothbench
from smoothbench import protocols

PACKAGE = Path(smoothbench.__file__).parent
ROOT = PACKAGE.parent
# plug-ins
NAMED = {"media", "model", "metric", "encoder", "solver", "policy", "predictor", "method", "configured"}


def capabilities() -> set[str]:
    parts = {name: part for name, part in vars(protocols).items() if isinstance(part, type)}
    return {name for name, part in parts.items() if getattr(part, "_is_runtime_protocol", False)}


def test_the_documents_list_every_capability() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    section = text.partition("## What a piece may do")[2].partition("\n## ")[0]
    first = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`(\w+)`", " ".join(first))) == capabilities()


@pytest.mark.parametrize(
    "folder", ["planning", "scoring", "sampling", "training", "running", "costs", "storage"]
)
def test_no_plugin_is_asked_for_an_attribute_by_name(folder: str) -> None:
    paths = [*(PACKAGE / folder).rglob("*.py")]
    assert paths
    for path in paths:
        for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
            if isinstance(call.func, ast.Name) and call.func.id in ("hasattr", "getattr"):
                of = ast.unparse(call.args[0])
                assert not NAMED & set(re.findall(r"\w+", of)), f"{path.name}:{call.lineno} asks {of} by name"
