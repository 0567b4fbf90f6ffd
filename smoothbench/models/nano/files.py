"""Weights of the embedded networks: half precision on disk, single precision in memory."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from smoothbench.models.weights.read import fill, read_tensors
from smoothbench.storage.files import replacing, sha256_of, write_atomic

M = TypeVar("M", bound=nn.Module)
N = TypeVar("N", bound="MetricNetwork")


def save(network: nn.Module, file: Path) -> None:
    """Write the weights as float16 (counters stay whole numbers) in a new or existing folder."""
    state = {
        name: value.half() if value.is_floating_point() else value
        for name, value in network.state_dict().items()
    }
    write_tensors({name: value.contiguous() for name, value in state.items()}, file)


def write_tensors(tensors: Mapping[str, Tensor], file: Path) -> None:
    """Write tensors as safetensors, whole or not at all, in a new or existing folder."""
    write_atomic(file, to_bytes(dict(tensors)))


def write_arrays(file: Path, arrays: Mapping[str, Any], compressed: bool = False) -> None:
    """Write arrays as npz, whole or not at all, in a new or existing folder."""
    with replacing(file) as target:
        (np.savez_compressed if compressed else np.savez)(target, **arrays)


def restore(network: M, file: Path) -> M:
    """Load the weights of a file into a network and freeze it, in float32.

    Raises ValueError, naming the file, where it is missing, damaged or of another network.
    """
    if not file.is_file():
        raise ValueError(f"weights {file}: no such file; train it, or give another path")
    fill(network, read_tensors(file), file)
    return network.eval().requires_grad_(False)


class MetricNetwork(nn.Module):
    """A network behind metrics whose weights come with the project; `digest` is the sha256 of their file."""

    digest = ""


def restore_network(network: N, file: Path) -> N:
    """Load a network behind metrics and set its `digest`; ValueError as of `restore`."""
    restore(network, file)
    network.digest = sha256_of(file)
    return network


def write_config(config: dict[str, Any], file: Path) -> None:
    """Write an architecture's arguments as JSON, whole or not at all, in a new or existing folder."""
    write_atomic(file, (json.dumps(config, indent=2) + "\n").encode())
