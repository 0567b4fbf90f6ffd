"""Files that are exported from schedules, made by the command and run as another program would."""

import json
from collections.abc import Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from smoothbench.interop.__main__ import main

COMPUTED = (1, 1, 0, 0, 1, 0, 0, 0, 1, 1, 0, 1)  # a mask with uneven intervals


def exported(folder: Path, data: dict[str, Any], target: str, *options: str) -> Path:
    """Export a schedule's data to a target, and return the file; AssertionError where the command fails."""
    schedule, out = folder / "schedule.json", folder / f"exported.{'yaml' if target == 'cache-dit' else 'py'}"
    schedule.write_text(json.dumps(data))
    out.unlink(missing_ok=True)
    assert main([str(schedule), "--to", target, "--out", str(out), *options]) == 0
    return out


def run_file(path: Path) -> Any:
    """Import a Python file by its path."""
    spec = spec_from_file_location(f"exported_{path.parent.name}", path)
    assert spec is not None and spec.loader is not None
    module: Any = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def where(mask: Sequence[int]) -> list[int]:
    """The evaluations that a mask computes."""
    return [e for e, bit in enumerate(mask) if bit]
