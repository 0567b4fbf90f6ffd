"""The house's limits: sizes of files and functions, and tests that stand alone."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("smoothbench", "baselines", "metrics", "conf", "docs", "notebooks", "tests")


@cache  # parsing takes seconds
def modules() -> list[tuple[str, str, ast.Module]]:
    paths = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
    texts = [(str(path.relative_to(ROOT)), path.read_text()) for path in paths]
    return [(file, text, ast.parse(text)) for file, text in texts]


def test_a_file_has_at_most_250_lines_and_a_function_50() -> None:
    lengths = {file: text.count("\n") for file, text, _ in modules()}
    assert not {file: length for file, length in lengths.items() if length > 250}
    for file, _, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 50, f"{file}: {node.name}"


def test_published_results_take_at_most_20_mib_and_none_is_left_plain() -> None:
    files = [path for path in (ROOT / "results").rglob("*") if path.is_file()]
    published = [path for path in files if ROOT / "results/runs" not in path.parents]
    assert sum(path.stat().st_size for path in published if path.name != "report.html") <= 20 * 2**20
    assert not [path for path in published if path.parent.name == "records" and path.suffix != ".gz"]


def test_no_test_imports_another() -> None:
    for file, _, tree in modules():
        for node in ast.walk(tree) if file.startswith("tests/") else ():
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += (
                [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            )
            assert not [name for name in names if name.split(".")[-1].startswith("test_")], file


def test_the_process_that_hands_tests_out_imports_no_torch() -> None:
    """It runs none itself, and those that do wait until it has read conftest.py."""
    code = "import sys, tests.conftest; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
