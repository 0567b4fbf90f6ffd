"""Results folders with several tables of one experiment, or several points of one label."""

from pathlib import Path
from typing import Any

from tests.support.report_folder import digest, record, save, save_previews

SHOWN = (0, 5, 7)  # the reference, FORA N=1 (its samples) and N=3
PLAIN = {"_target_": "smoothbench.solvers.ddim.DDIM", "steps": 50}
SOLVER = {"_target_": "smoothbench.solvers.ddim.DDIM", "steps": 50, "eta": 0.0}


def add(folder: Path, key: str, orders: tuple[int, ...] = SHOWN, **changes: Any) -> None:
    """Points of one table; `model`, `config` and others are merged into their records, `key` into their ids."""
    for order in orders:
        content = record(order, 256, (0, 256)) | {"per_block": 256}
        content["scores"] = {"fd_nano@256": content["scores"]["fd_nano@256"]}
        for name, change in changes.items():
            merged = isinstance(change, dict) and isinstance(content[name], dict)
            content[name] = content[name] | change if merged else change
        for name in ("point_id", "cell_id", "sample_id", "reference_id"):
            content[name] = digest(content[name], key)
        save(folder, content)
        save_previews(folder, content)


def weighted(letter: str, path: str | None = None) -> dict[str, Any]:
    """A model whose weights have a hash of one letter."""
    return {
        "model": {"weights_sha256": letter * 64},
        "config": {"model": {"path": path or f"checkpoints/{letter}"}},
    }
