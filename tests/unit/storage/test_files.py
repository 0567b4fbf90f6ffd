"""Files that appear whole or not at all, however they are written, and the hash of a file."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from smoothbench.models.nano.files import write_arrays, write_config, write_tensors
from smoothbench.storage.files import replacing, sha256_of, temporary_path


def test_a_file_that_is_written_by_its_name_replaces_the_old_one_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "folder" / "clip.mp4"
    with temporary_path(target) as temporary:
        temporary.write_bytes(b"first")
        assert not target.exists() and temporary.name.endswith(".tmp")
    with pytest.raises(RuntimeError), temporary_path(target) as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError
    assert [path.read_bytes() for path in target.parent.iterdir()] == [b"first"]


def test_a_file_that_is_not_finished_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"old")
    with pytest.raises(RuntimeError), replacing(target) as file:
        file.write(b"half")
        raise RuntimeError
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_weights_statistics_and_configurations_that_cannot_be_written_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_config({"width": object()}, tmp_path / "config.json")
    with pytest.raises(ValueError):
        write_tensors({"width": [1]}, tmp_path / "model.safetensors")  # type: ignore[dict-item]
    with pytest.raises(ValueError):
        write_arrays(tmp_path / "reference.npz", {"mu": [[1], [1, 2]]})
    assert not list(tmp_path.iterdir())


def test_the_hash_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    file = tmp_path / "file"
    write_tensors({"weight": torch.arange(4)}, file)
    write_arrays(tmp_path / "arrays.npz", {"mu": np.ones(3)}, compressed=True)
    for path in tmp_path.iterdir():
        assert sha256_of(path) == hashlib.sha256(path.read_bytes()).hexdigest()
