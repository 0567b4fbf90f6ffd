"""Files of this folder."""

from pathlib import Path


def embedded(file: str | Path) -> Path:
    """The path of a file of this folder; an absolute path stays as it is."""
    return Path(__file__).parent / file
