"""The files of a folder's records: JSON where a run writes them, gzipped JSON in a published copy."""

import gzip
from pathlib import Path

from smoothbench.storage.files import read_bytes

PACKED = ".gz"


def record_files(folder: Path) -> list[Path]:
    """Return the files of a results folder's records, sorted; plain JSON goes before a packed copy of it."""
    paths = {path.name.removesuffix(PACKED): path for path in folder.glob("records/*.json.gz")}
    paths |= {path.name: path for path in folder.glob("records/*.json")}
    return [paths[name] for name in sorted(paths)]


def record_file(folder: Path, stem: str) -> Path:
    """Return the file of one record by its stem, packed if it is there packed alone."""
    plain = folder / "records" / f"{stem}.json"
    packed = plain.with_name(plain.name + PACKED)
    return packed if packed.exists() and not plain.exists() else plain


def record_stem(path: Path) -> str:
    """Return the name that a record's file shares with the point's other files."""
    return path.name.removesuffix(PACKED).removesuffix(".json")


def packed(path: Path) -> bytes:
    """Return a record's file as gzip of its JSON; the same content gives the same bytes.

    Raises OSError or ValueError where it cannot be read.
    """
    return gzip.compress(read_bytes(path), compresslevel=9, mtime=0)
