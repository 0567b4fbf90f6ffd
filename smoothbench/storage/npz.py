"""What an npz says of its arrays, without unpacking them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


class Header(NamedTuple):
    """Of an array: its shape, whether it lies column by column, and the type of its values."""

    shape: tuple[int, ...]
    by_columns: bool
    dtype: np.dtype[Any]


class Described(NamedTuple):
    """The headers of all arrays, and the values of those that were asked for."""

    headers: Mapping[str, Header]
    values: Mapping[str, NDArray[Any]]


def header(member: IO[bytes]) -> Header:
    """The header of an array, which is read past; KeyError or ValueError where it is none."""
    return Header(*READERS[npy.read_magic(member)](member))


def described(path: Path, small: Sequence[str]) -> Described | None:
    """The arrays of a file by their headers, and the values of the small ones that it has.

    None where it is missing or damaged; damage within what was not unpacked shows where that is read.
    """
    try:
        with np.load(path, allow_pickle=False) as data:
            headers = {}
            for name in data.files:
                with data.zip.open(f"{name}.npy") as member:
                    headers[name] = header(member)
            return Described(headers, {name: data[name] for name in small if name in data.files})
    except Exception:  # what numpy and zipfile make of damaged bytes is no closed list
        return None
