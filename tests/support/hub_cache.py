"""A Hugging Face cache as a download leaves it."""

import os
import shutil
from pathlib import Path

REPOSITORY, REVISION = "facebook/DiT-XL-2-256", "eab87f77abd5aef071a632f08807fbaab0b704d0"


def in_cache(home: Path, folder: Path, repository: str, revision: str) -> Path:
    """A folder as its download leaves it: blobs, links to them, and a ref."""
    place = home / "hub" / f"models--{repository.replace('/', '--')}"
    snapshot = Path(shutil.copytree(folder, place / "snapshots" / revision))
    (place / "blobs").mkdir()
    for number, path in enumerate(sorted(snapshot.rglob("*.*"))):
        blob = place / "blobs" / str(number)
        path.rename(blob)
        path.symlink_to(os.path.relpath(blob, path.parent))
    (place / "refs").mkdir()
    (place / "refs/main").write_text(revision)
    return snapshot
