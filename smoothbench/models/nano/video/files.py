"""Files of this folder."""

import json
from pathlib import Path
from typing import Any


def embedded(file: str | Path) -> Path:
    """The path of a file of this folder; an absolute path stays as it is."""
    return Path(__file__).parent / file


def write_config(config: dict[str, Any], file: Path) -> None:
    """Write an architecture's arguments as config.json, in a new or existing folder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(config, indent=2) + "\n")
