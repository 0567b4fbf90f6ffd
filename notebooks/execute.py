"""Run the notebooks on results/ and keep what they show: python notebooks/execute.py

The texts (NN_name.py) are the source; each is executed and written as NN_name.ipynb. The same results give the
same files: no times, no machine, cells named by their place.
"""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import jupytext
import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

FOLDER = Path(__file__).parent
TIMEOUT = 120  # seconds a cell


def texts() -> list[Path]:
    """The notebooks as text, in reading order."""
    return sorted(FOLDER.glob("[0-9]*.py"))


def executed(text: Path) -> NotebookNode:
    """A text run top to bottom by a fresh kernel in its folder; CellExecutionError where a cell fails."""
    notebook = jupytext.read(text)
    for position, cell in enumerate(notebook.cells):
        cell.id = f"cell-{position:02d}"
    client = NotebookClient(
        notebook,
        timeout=TIMEOUT,
        kernel_name="python3",
        resources={"metadata": {"path": str(text.parent)}},
        record_timing=False,
    )
    with TemporaryDirectory() as profile:  # not the one of whoever runs this
        client.execute(
            env=os.environ | {"IPYTHONDIR": profile, "PYTHONWARNINGS": "ignore:IProgress not found"}
        )
    del notebook.metadata["jupytext"]["text_representation"]  # that of the text: jupytext leaves it out here
    notebook.metadata["language_info"] = {"name": "python"}  # without the kernel's own version
    return notebook


def main() -> None:
    """Execute and write all notebooks."""
    for text in texts():
        nbformat.write(executed(text), text.with_suffix(".ipynb"))
        print(text.with_suffix(".ipynb").name)


if __name__ == "__main__":
    main()
