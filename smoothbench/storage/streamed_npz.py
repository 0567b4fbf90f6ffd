"""An npz file whose largest array is written piece by piece, and read from the disk where it is used."""

import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from smoothbench.storage.files import read_arrays, replacing
from smoothbench.storage.npz import Header, header

DATE: Final = (1980, 1, 1, 0, 0, 0)  # of all arrays: the same ones give the same bytes
ALIGNED: Final = 64  # bytes that the array's data begin at a multiple of, as in numpy's own files
MAPPED: Final = 2**26  # bytes from which on an array stays on the disk while it is read
# bytes of an entry's header and of its large sizes; the id of empty bytes
LOCAL, ZIP64, PADDING = 30, 20, 0xD935
CHUNK: Final = 2**20  # bytes that are checked at once


class Pieces:
    """Takes the pieces of an array, in order."""

    def __init__(self, member: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._member, self._dtype, self._left = member, dtype, int(np.prod(shape))

    def write(self, piece: NDArray[Any]) -> None:
        """Add a piece; ValueError for values beyond the array's size."""
        if piece.size > self._left:
            raise ValueError(f"{piece.size - self._left} values more than the array has room for")
        self._left -= piece.size
        self._member.write(np.ascontiguousarray(piece, self._dtype).data.cast("B") if piece.size else b"")

    @property
    def missing(self) -> int:
        """The number of values that are still to come."""
        return self._left


@contextmanager
def writing(
    path: Path, small: Mapping[str, NDArray[Any]], name: str, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Iterator[Pieces]:
    """Write an npz of some small arrays and a large one, whose pieces are taken within the context; not compressed.

    The file appears at the end, whole, or not at all after an exception. Raises ValueError where values are missing.
    """
    with replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for key in sorted(small):
            with archive.open(_entry(key), "w") as member:
                npy.write_array(member, small[key], version=(1, 0), allow_pickle=False)
        entry = _entry(name)
        begin = archive.start_dir + LOCAL + len(entry.filename) + ZIP64
        padding = -(begin + 4) % ALIGNED
        entry.extra = struct.pack("<2H", PADDING, padding) + bytes(padding)
        with archive.open(entry, "w", force_zip64=True) as member:
            description = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
            npy.write_array_header_1_0(member, description)
            pieces = Pieces(member, shape, dtype)
            yield pieces
        if pieces.missing:
            raise ValueError(f"{pieces.missing} values of the array are missing")


def read_array(path: Path, name: str) -> NDArray[Any] | None:
    """Read an array of an npz; a large one that is not compressed stays on the disk, but its bytes are checked.

    None where there is no such array or the file is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entry = archive.getinfo(f"{name}.npy")
            if entry.compress_type == zipfile.ZIP_STORED and entry.file_size >= MAPPED:
                return _mapped(path, archive, entry)
    except Exception:  # damaged bytes make numpy and zipfile raise exceptions of many kinds
        return None
    return (read_arrays(path) or {}).get(name)


def _mapped(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> NDArray[Any]:
    """An array as a part of its file, of which only what is used is in memory."""
    with archive.open(entry) as member:
        array: Header = header(member)
        within = member.tell()
        while member.read(CHUNK):  # to its end, where zipfile compares the sum of all bytes
            pass
    with path.open("rb") as file:
        file.seek(entry.header_offset)
        name, extra = struct.unpack("<26x2H", file.read(LOCAL))
    if array.dtype.hasobject:
        raise ValueError(f"{path} holds objects")
    place = entry.header_offset + LOCAL + name + extra + within
    # changes stay in memory: metrics may write into what they are given, the file must not change
    order = "F" if array.by_columns else "C"
    return np.asarray(np.memmap(path, array.dtype, "c", place, array.shape, order))  # type: ignore[call-overload]


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(f"{name}.npy", DATE)
    entry.create_system, entry.external_attr = 3, 0o644 << 16  # as on Unix, whatever this is
    return entry
