"""Samples are decoded while earlier ones are scored, in their order."""

import threading
from pathlib import Path

import pytest
import torch
from torch import Tensor

from smoothbench.media.codecs import Png
from smoothbench.scoring.read_ahead import read_ahead
from smoothbench.storage.sample_files import Samples


class Noting(Png):
    """Notes which thread decodes."""

    def __init__(self) -> None:
        self.threads = set[str]()

    def decode(self, data: bytes) -> Tensor:
        self.threads.add(threading.current_thread().name.partition("_")[0])
        return super().decode(data)


def written(folder: Path) -> tuple[Samples, Tensor]:
    images = torch.arange(7, dtype=torch.uint8)[:, None, None, None].expand(7, 1, 4, 4)
    samples = Samples(folder, "set", range(7), 3, Noting())
    for batch in samples.batches():
        samples.write(batch, images[batch[0] : batch[-1] + 1])
    return samples, images


def test_samples_come_in_their_order(tmp_path: Path) -> None:
    samples, images = written(tmp_path)
    batches = list(read_ahead(samples))
    assert [list(seeds) for seeds, _ in batches] == [[0, 1, 2], [3, 4, 5], [6]]
    assert torch.equal(torch.cat([decoded for _, decoded in batches]), images)
    assert isinstance(samples.media, Noting) and samples.media.threads == {"codec"}


def test_a_lost_sample_is_met_where_its_batch_is_due(tmp_path: Path) -> None:
    samples, _ = written(tmp_path)
    (samples.folder / samples.files.name(6)).unlink()
    reading = read_ahead(samples)
    assert len(next(reading)[0]) == len(next(reading)[0]) == 3
    with pytest.raises(FileNotFoundError, match=r"000000006\.png is not there"):
        next(reading)
