"""Weights of the embedded networks: half precision on disk, single precision in memory."""

import hashlib
import json
from pathlib import Path
from typing import Any, TypeVar

from safetensors.torch import save_file
from torch import nn

from smoothbench.models.tensors import fill, read_tensors

M = TypeVar("M", bound=nn.Module)


def save(network: nn.Module, file: Path) -> None:
    """Write the weights as float16 (counters stay whole numbers) in a new or existing folder."""
    state = {
        name: value.half() if value.is_floating_point() else value
        for name, value in network.state_dict().items()
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    scratch = file.with_suffix(".tmp")
    save_file({name: value.contiguous() for name, value in state.items()}, scratch)
    scratch.replace(file)


def restore(network: M, file: Path) -> M:
    """The network with the weights of a file, frozen, in float32.

    Raises ValueError, naming the file, where it is missing, damaged or of another network.
    """
    if not file.is_file():
        raise ValueError(f"weights {file}: no such file; train it, or give another path")
    fill(network, read_tensors(file), file)
    return network.eval().requires_grad_(False)


def digest(*files: Path) -> str:
    """One sha256 of several files' bytes, in this order."""
    whole = hashlib.sha256()
    for file in files:
        whole.update(file.read_bytes())
    return whole.hexdigest()


def write_config(config: dict[str, Any], file: Path) -> None:
    """Write an architecture's arguments as config.json, in a new or existing folder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(config, indent=2) + "\n")
