"""Read and write sets of images in the layout of ADM's evaluation: an npz whose arr_0 is uint8 [N, H, W, C].

They are read and written in batches: 10,000 real images of 256 x 256 pixels are 2 GB, 50,000 samples 9.8 GB.
"""

import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.lib import format as npy
from numpy.typing import NDArray
from torch import Tensor

from smoothbench.storage.files import replacing, sha256_of
from smoothbench.storage.npz import header

MEMBER = "arr_0.npy"
Shape = tuple[int, int, int, int]  # N, H, W, C


class ImageFile:
    """The images of an npz in ADM's layout, of which only arr_0 is read; nothing is ever unpickled.

    `shape` is [N, H, W, C]. Raises ValueError, naming the file, for another file or fewer than 2 images; `batches`
    raises it where the file is damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._refusal = f"{path}: must be an npz with arr_0, uint8 [N, H, W, C] (ADM's layout)"
        try:
            with self._opened() as (_, shape):
                self.shape = shape
        except Exception:  # damaged bytes make zipfile and numpy raise exceptions of many kinds
            raise ValueError(self._refusal) from None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.shape[1:3]

    @cached_property
    def digest(self) -> str:
        """The sha256 of the file."""
        return sha256_of(self.path)

    def batches(self, count: int) -> Iterator[Tensor]:
        """Yield all images in order, uint8 [<=count, C, H, W]."""
        try:
            with self._opened() as (member, (total, *shape)):
                for start in range(0, total, count):
                    images = min(count, total - start)
                    data = np.frombuffer(bytearray(member.read(images * int(np.prod(shape)))), np.uint8)
                    yield torch.from_numpy(data.reshape(images, *shape)).permute(0, 3, 1, 2)
                if member.read(1):  # reading past the end also checks the archive's checksum
                    raise ValueError("more data than images")
        except Exception:
            raise ValueError(self._refusal) from None

    @contextmanager
    def _opened(self) -> Iterator[tuple[IO[bytes], Shape]]:
        with zipfile.ZipFile(self.path) as archive, archive.open(MEMBER) as member:
            shape, by_columns, dtype = header(member)
            if len(shape) != 4 or min(shape) < 1 or shape[0] < 2 or dtype != np.uint8 or by_columns:
                raise ValueError("other data")
            yield member, shape


def image_size(path: str | Path) -> tuple[int, int] | None:
    """Return height and width of the images in an npz; None where it holds no images."""
    try:
        return ImageFile(path).size
    except ValueError:
        return None


def write_images(path: Path, shape: Shape, batches: Iterable[NDArray[Any]]) -> None:
    """Write images uint8 [N, H, W, C] to an npz, atomically; the same images give the same bytes.

    `batches` are the images in order. The npz is not compressed, so that ADM's evaluation can read it as a stream.
    Raises ValueError where the batches together do not have this shape.
    """
    count = 0
    with (
        replacing(path) as file,
        zipfile.ZipFile(file, "w") as archive,
        archive.open(zipfile.ZipInfo(MEMBER), "w", force_zip64=True) as member,
    ):
        npy.write_array_header_1_0(member, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for images in batches:
            if images.dtype != np.uint8 or images.shape[1:] != shape[1:]:
                raise ValueError(f"images {images.dtype} {list(images.shape)} among uint8 {list(shape[1:])}")
            member.write(np.ascontiguousarray(images).data)
            count += len(images)
        if count != shape[0]:
            raise ValueError(f"{count} images where {shape[0]} were announced")
