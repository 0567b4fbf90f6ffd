"""A few points of a published folder, as a submission of their own."""

import json
import shutil
from pathlib import Path
from typing import Any

from smoothbench.storage.files import read_bytes, write_atomic
from smoothbench.storage.record_files import record_files, record_stem

RESULTS = Path(__file__).parents[2] / "results"


def part_of(target: Path, folder: str, *names: str) -> Path:
    """Copy the reference and the points of these names, with their per-sample scores and curves."""
    source = RESULTS / folder
    for path in record_files(source):
        if path.name.startswith("reference-") or any(path.name.startswith(f"{name}-") for name in names):
            stem = record_stem(path)
            write_atomic(target / f"records/{stem}.json", read_bytes(path), sync=False)
            (target / "scores").mkdir(exist_ok=True)
            shutil.copy(source / f"scores/{stem}.npz", target / "scores")
    shutil.copytree(source / "curves", target / "curves")
    return target


def edit(folder: Path, name: str, *path: str, to: Any) -> Path:
    """Put another value into a record; return its file."""
    file = next((folder / "records").glob(f"{name}-*.json"))
    data = json.loads(file.read_text())
    place = data
    for key in path[:-1]:
        place = place[key]
    if to is None:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    file.write_text(json.dumps(data))
    return file
