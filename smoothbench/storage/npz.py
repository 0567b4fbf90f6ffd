"""Read the headers of the arrays in an npz file without unpacking the arrays."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


class Header(NamedTuple):
    """The header of an array: its shape, whether it is stored column by column, and the type of its values."""

    shape: tuple[int, ...]
    by_columns: bool
    dtype: np.dtype[Any]


class HeadersAndValues(NamedTuple):
    """The headers of all arrays of a file, and the values of some of them."""

    headers: Mapping[str, Header]
    values: Mapping[str, NDArray[Any]]


def header(member: IO[bytes]) -> Header:
    """Read the header of an array, after which its data follow; KeyError or ValueError where there is none."""
    return Header(*READERS[npy.read_magic(member)](member))


def read_headers(path: Path, small: Sequence[str]) -> HeadersAndValues | None:
    """Read the headers of all arrays of a file, and the values of the arrays named in `small`, if it has them.

    None where the file does not exist or is damaged; damage in the other arrays shows only when they are read.
    """
    try:
        with np.load(path, allow_pickle=False) as data:
            headers = {}
            for name in data.files:
                with data.zip.open(f"{name}.npy") as member:
                    headers[name] = header(member)
            return HeadersAndValues(headers, {name: data[name] for name in small if name in data.files})
    except Exception:  # damaged bytes make numpy and zipfile raise exceptions of many kinds
        return None
