"""ADM's files: reference batches, good and bad, and sets of images read and written piece by piece."""

import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.lib import format as npy

from metrics.features import Features
from metrics.real_statistics import FileStatistics
from smoothbench.errors import UsageError
from smoothbench.media.image_npz import ImageFile, write_images
from tests.oracles.inception import images, reference, scorer

BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "no statistics": ({"mu": None, "sigma": None}, "fid", "lack mu, sigma: they need mu and sigma"),
    "no spatial ones": ({"mu_s": None}, "sfid", "lack mu_s: they need mu_s and sigma_s"),
    "pickled": ({"sigma_s": np.array([object])}, "sfid", "damaged, pickled or not of numbers"),
    "NaN": ({"mu": np.full(8, np.nan)}, "fid", "hold NaN or Inf"),
    "other shapes": ({"mu_s": np.zeros(9)}, "sfid", r"have mu_s \[9\], sigma_s \[8, 8\]"),
    "other resolution": ({"arr_0": np.zeros((2, 32, 32, 3), np.uint8)}, "fid", "have 28x28 pixels, .* 32x32"),
    "the same": ({"arr_0": np.zeros((2, 28, 32, 3), np.uint8)}, "recall", "have 28x28 pixels, .* 28x32"),
    "no images": ({"arr_0": None}, "precision", "real samples .* must be an npz with arr_0"),
    "one image": ({"arr_0": np.zeros((1, 28, 28, 3), np.uint8)}, "precision", "must be an npz with arr_0"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_reference_batches_end_the_run_before_it_starts(tmp_path: Path, what: str) -> None:
    changes, metric, message = BAD[what]
    rows = {name: np.random.default_rng(0).normal(size=(20, 8)) for name in ("features", "spatial")}
    path = reference(tmp_path / "reference.npz", images(4, 0), rows, **changes)
    with pytest.raises(UsageError, match=message) as error:
        scorer(tmp_path, path, None, metric)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_references_that_are_not_there_or_of_another_encoder(tmp_path: Path) -> None:
    for metric in ("fid", "recall"):
        with pytest.raises(
            UsageError, match=r"set model\.evaluation\.adm .*VIRTUAL_imagenet256_labeled\.npz"
        ):
            scorer(tmp_path, "null", None, metric)
    with pytest.raises(UsageError, match=r"no reference statistics at .*none\.npz"):
        scorer(tmp_path, tmp_path / "none.npz", None, "fid")
    rows = {name: np.random.default_rng(0).normal(size=(20, 8)) for name in ("features", "spatial")}
    path = reference(tmp_path / "narrow.npz", images(4, 0), rows)
    metric = scorer(tmp_path, path, None, "fid").metrics["fid"].metric
    with pytest.raises(
        ValueError, match=r"features have width 2048, the reference statistics .*narrow\.npz 8"
    ):
        metric.score(np.zeros((20, 2048)))


def peak(work: Callable[[], object]) -> int:
    """The most bytes that were allocated at once."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_statistics_are_read_without_the_images_beside_them(tmp_path: Path) -> None:
    rows = {name: np.random.default_rng(0).normal(size=(20, 8)) for name in ("features", "spatial")}
    pictures = torch.zeros(100, 3, 256, 256, dtype=torch.uint8)  # 20 MB
    path = reference(tmp_path / "reference.npz", pictures, rows)
    found: list[FileStatistics] = []
    assert peak(lambda: found.append(FileStatistics(str(path), "_s"))) < 2e6
    np.testing.assert_allclose(found[0].covariance, np.cov(rows["spatial"].T))
    assert peak(lambda: [batch.sum() for batch in ImageFile(path).batches(5)]) < 6e6


def streamed(path: Path) -> Features:
    """As ADM's evaluator reads: the member's header, then its bytes batch by batch."""
    with zipfile.ZipFile(path) as archive, archive.open("arr_0.npy") as member:
        assert npy.read_magic(member) == (1, 0)
        shape, by_columns, dtype = npy.read_array_header_1_0(member)
        assert not by_columns and not dtype.hasobject
        size, parts = int(np.prod(shape[1:])), []
        for start in range(0, shape[0], 3):
            count = min(3, shape[0] - start)
            data = member.read(count * size * dtype.itemsize)
            parts.append(np.frombuffer(data, dtype).reshape(count, *shape[1:]))
        assert not member.read()
    return np.concatenate(parts)


def test_images_are_written_in_pieces_as_adm_reads_them(tmp_path: Path) -> None:
    path, piece = tmp_path / "new" / "out.npz", np.random.default_rng(0).integers(256, size=(4, 64, 64, 3))
    piece = piece.astype(np.uint8)  # 48 KiB
    assert peak(lambda: write_images(path, (1000, 64, 64, 3), (piece for _ in range(250)))) < 2e6
    first = path.read_bytes()
    with np.load(path, allow_pickle=False) as data:
        assert data.files == ["arr_0"] and np.array_equal(data["arr_0"], np.tile(piece, (250, 1, 1, 1)))
    assert np.array_equal(streamed(path), np.tile(piece, (250, 1, 1, 1)))
    assert torch.cat(list(ImageFile(path).batches(300))).shape == (1000, 3, 64, 64)
    for wrong in ([piece], [piece[:, :5]] * 250, [piece.astype(np.int16)] * 250):
        with pytest.raises(ValueError, match="images"):
            write_images(path, (1000, 64, 64, 3), iter(wrong))
    assert path.read_bytes() == first and [each.name for each in path.parent.iterdir()] == ["out.npz"]


@pytest.mark.parametrize("damage", ["cut", "flipped", "gone"])
def test_damaged_images_are_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "real.npz"
    np.savez(path, arr_0=images(20, 0).permute(0, 2, 3, 1).numpy())
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    {
        "cut": lambda: path.write_bytes(data[:-400]),
        "flipped": lambda: path.write_bytes(data),
        "gone": path.unlink,
    }[damage]()
    with pytest.raises(ValueError, match=r"real\.npz: must be an npz with arr_0"):
        list(ImageFile(path).batches(7))
