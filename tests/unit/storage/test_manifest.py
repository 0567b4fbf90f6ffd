"""What a killed run, or a folder of another name, makes of the manifest of samples."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from smoothbench.media.codecs import Png
from smoothbench.storage.sample_files import Samples


def samples_of(folder: Path, name: str = "set") -> Samples:
    """Samples in two batches."""
    return Samples(folder, name, range(32), 16, Png())


def images(batch: Sequence[int]) -> Tensor:
    return torch.tensor(batch, dtype=torch.uint8).reshape(-1, 1, 1, 1)


def drawn(folder: Path) -> None:
    samples = samples_of(folder)
    for batch in samples.batches():
        samples.write(batch, images(batch))


def test_what_is_added_after_a_cut_line_is_read_again(tmp_path: Path) -> None:
    drawn(tmp_path)
    manifest = tmp_path / "set/manifest.jsonl"
    manifest.write_bytes(manifest.read_bytes()[:-20])
    samples = samples_of(tmp_path)
    (missing,) = samples.missing()
    samples.write(missing, images(missing))  # and the process is killed before the set is closed
    assert not samples_of(tmp_path).missing()


def test_the_manifest_of_other_samples_is_not_believed(tmp_path: Path) -> None:
    drawn(tmp_path)
    (tmp_path / "set").rename(tmp_path / "other")
    assert len(samples_of(tmp_path, "other").missing()) == 2
