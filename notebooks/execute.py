"""Run the notebooks on results/ and keep what they show: python notebooks/execute.py

The texts (NN_name.py) are the source; each is executed and written as NN_name.ipynb. The same results give the
same files: no times, no machine, cells named by their place.
"""

import os
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory

import jupytext
import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

FOLDER = Path(__file__).parent
TIMEOUT = 120  # seconds a cell


def texts() -> list[Path]:
    """The notebooks as text, in reading order."""
    return sorted(FOLDER.glob("[0-9]*.py"))


def executed(texts: Sequence[Path]) -> list[NotebookNode]:
    """Run texts, one after the other, in one fresh kernel in their folder; CellExecutionError where a cell fails.

    Each text begins without the names of those before it; modules that these imported are imported.
    """
    notebooks = [_notebook(text) for text in texts]
    together = deepcopy(notebooks[0])
    together.cells = notebooks[0].cells + [
        cell for notebook in notebooks[1:] for cell in (new_code_cell("%reset -f"), *notebook.cells)
    ]
    client = NotebookClient(
        together,
        timeout=TIMEOUT,
        kernel_name="python3",
        resources={"metadata": {"path": str(FOLDER)}},
        record_timing=False,
    )
    with TemporaryDirectory() as profile:  # not the one of whoever runs this
        client.execute(
            env=os.environ | {"IPYTHONDIR": profile, "PYTHONWARNINGS": "ignore:IProgress not found"}
        )
    return notebooks


def _notebook(text: Path) -> NotebookNode:
    """The notebook of a text, whose cells have yet to run."""
    notebook = jupytext.read(text)
    for position, cell in enumerate(notebook.cells):
        cell.id = f"cell-{position:02d}"
    del notebook.metadata["jupytext"]["text_representation"]  # that of the text: jupytext leaves it out here
    notebook.metadata["language_info"] = {"name": "python"}  # without the kernel's own version
    return notebook


def main() -> None:
    """Execute and write all notebooks."""
    for text in texts():
        (notebook,) = executed([text])  # whose cells are counted from 1
        nbformat.write(notebook, text.with_suffix(".ipynb"))
        print(text.with_suffix(".ipynb").name)


if __name__ == "__main__":
    main()
