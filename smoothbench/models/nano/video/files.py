"""Files of this folder."""

from pathlib import Path


def embedded(file: str | Path) -> Path:
    """Return the path of a file of this folder; an absolute path stays as it is."""
    return Path(__file__).parent / file
