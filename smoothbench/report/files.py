"""Files of a report, whole or not at all."""

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from smoothbench.atomic import replacing


def replace(path: Path, fill: Callable[[BinaryIO], object]) -> Path:
    """Let `fill` write to a temporary file beside `path`, then put it in the place of `path`."""
    with replacing(path) as file:
        fill(file)
    return path


def write_text(path: Path, text: str) -> Path:
    """Write UTF-8 with Unix line ends, whole or not at all."""
    return replace(path, lambda file: file.write(text.encode("utf-8")))
