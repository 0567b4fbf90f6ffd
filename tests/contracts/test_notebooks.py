"""The notebooks run, show what the committed results give today, and say the same as text and as notebook."""

import re
import shutil
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import pytest
import yaml
from jupytext.cli import jupytext as command
from nbformat import NotebookNode

from notebooks.execute import FOLDER, executed, texts
from smoothbench.caching import ErrorCurves
from smoothbench.config import method_heads
from smoothbench.config.instantiate import build_policy

MOST_BYTES = 300_000
# What 03 shows was sampled: it may differ in the last digit from one CPU to the next.
EXACT = ("01_reproduce_a_table", "02_read_a_pareto_plot")
STALE = "run: python notebooks/execute.py"


def committed(text: Path) -> NotebookNode:
    return nbformat.read(text.with_suffix(".ipynb"), as_version=4)


def shown(notebook: NotebookNode) -> list[list[str]]:
    """What each code cell shows, without its pictures."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [[_words(output) for output in cell.outputs] for cell in cells]


def _words(output: NotebookNode) -> str:
    return str(
        output["text"] if "text" in output else output.data.get("text/markdown") or output.data["text/plain"]
    )


@pytest.fixture(scope="module")
def run_now() -> dict[Path, NotebookNode]:
    """All of them, as they come out now."""
    return dict(zip(texts(), executed(texts()), strict=True))


def test_there_are_four() -> None:
    assert len(texts()) == 4
    assert sorted(FOLDER.glob("*.ipynb")) == [text.with_suffix(".ipynb") for text in texts()]


@pytest.mark.parametrize("text", texts(), ids=lambda text: text.stem)
def test_text_and_notebook_say_the_same(text: Path) -> None:
    notebook = committed(text)
    nbformat.validate(notebook)
    assert jupytext.writes(notebook, fmt="py:percent", config=None) == text.read_text(), STALE
    assert notebook.metadata.jupytext.formats == "ipynb,py:percent"


def test_jupytext_finds_the_pairs_in_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    pairs = [shutil.copy(path, tmp_path) for path in [FOLDER / "jupytext.toml", *FOLDER.glob("[0-9]*")]]
    before = [Path(path).read_bytes() for path in pairs]
    command(["--quiet", "--sync", *sorted(str(path) for path in tmp_path.glob("[0-9]*.py"))])
    assert [Path(path).read_bytes() for path in pairs] == before, STALE


@pytest.mark.parametrize("text", texts(), ids=lambda text: text.stem)
@pytest.mark.slow
def test_it_runs_and_shows_what_is_committed(text: Path, run_now: dict[Path, NotebookNode]) -> None:
    notebook = run_now[text]
    kept = committed(text)
    streams = [each.name for cell in notebook.cells for each in cell.get("outputs", []) if "name" in each]
    assert set(streams) == {"stdout"}, "a cell complains"
    assert [[*map(bool, each)] for each in shown(notebook)] == [[*map(bool, each)] for each in shown(kept)], (
        STALE
    )
    if text.stem in EXACT:
        assert shown(notebook) == shown(kept), STALE


@pytest.mark.parametrize("text", texts(), ids=lambda text: text.stem)
def test_it_uses_the_public_faces_alone(text: Path) -> None:
    """Of this package only results and caching, also in what a reader is told to write."""
    imported = re.findall(r"^[# ]*(?:from|import) (smoothbench[\w.]*)", text.read_text(), re.M)
    assert imported and set(imported) <= {"smoothbench.results", "smoothbench.caching"}


@pytest.mark.parametrize("text", texts(), ids=lambda text: text.stem)
def test_it_is_small_and_names_no_machine(text: Path) -> None:
    assert text.with_suffix(".ipynb").stat().st_size < MOST_BYTES
    words = "\n".join([text.read_text(), *(each for cell in shown(committed(text)) for each in cell)])
    assert not re.findall(r"(?:^|[\s\"'(=])(/(?:[\w.-]+/)+[\w.-]+)", words), "a path of a machine"
    assert not re.findall(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d", words), "a time"
    assert not any("execution" in cell.metadata for cell in committed(text).cells)


def test_the_recipe_for_a_policy_is_the_policy_that_was_tried(
    curves: ErrorCurves, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """03: the file and the YAML at its end against the class in its cell."""
    notebook = jupytext.read(texts()[2])
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    (module,), (node,) = (re.findall(rf"```{kind}\n(.*?)```", prose, re.S) for kind in ("python", "yaml"))
    name = re.match(r"# baselines/(\w+)\.py\n", module)
    assert name and f"# conf/cache/{name[1]}.yaml" in node
    assert method_heads.LINE.fullmatch(node.split("\n", 1)[0])
    (tmp_path / f"{name[1]}.py").write_text(module)
    monkeypatch.syspath_prepend(tmp_path)
    settings = yaml.safe_load(node)
    policy = settings["policy"]
    policy["_target_"] = policy["_target_"].removeprefix("baselines.")
    (cell,) = (cell.source for cell in notebook.cells if cell.source.startswith("@dataclass"))
    scope: dict[str, Any] = {"__name__": name[1]}
    exec(module.split("@dataclass")[0] + cell, scope)
    tried = scope[policy["_target_"].rpartition(".")[2]]().plan(curves.trajectory)
    assert build_policy(policy, "cache.policy").plan(curves.trajectory) == tried
    assert 0 < tried.skipped_share < 1 and {"family", "label", "predictor"} < set(settings)
