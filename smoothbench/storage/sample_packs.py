"""The files of samples by seed: one a sample, or one archive for a thousand seeds once all of these are there."""

import hashlib
import os
import struct
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from smoothbench.storage.files import replacing, write_atomic

PACKED: Final = (
    1000  # seeds of an archive: a folder of 50,000 files is slow on many file systems, and so is its copy
)
LARGEST: Final = (
    2**30
)  # bytes of an archive: long clips are large files already, writing them twice would cost more
DATE: Final = (1980, 1, 1, 0, 0, 0)  # of all entries: the same samples give the same bytes
LOCAL_HEADER: Final = 30  # bytes of an entry's header before its name

Place = tuple[int, int]  # of an entry's header in its archive, and the bytes of its data


class SampleFiles:
    """The files of samples in a folder: `<seed><suffix>`, or the same as an entry of `<first>-<last seed>.zip`.

    Archives are not compressed, for samples are: any unpacker opens them, and a sample is read by its offset. A file
    beside an archive is newer than the archive's entry.
    """

    def __init__(self, folder: Path, suffix: str) -> None:
        self.folder, self.suffix = folder, suffix
        self._index: tuple[Path, dict[str, Place]] | None = None  # of the archive that was read last

    def name(self, seed: int) -> str:
        """Return the name of a sample's file, or of its entry."""
        return f"{seed:09d}{self.suffix}"

    def write(self, seed: int, data: bytes) -> None:
        """Write a sample's file, atomically."""
        write_atomic(self._file(seed), data, sync=False)

    def read(self, seed: int) -> bytes | None:
        """Read a sample; None where it is not there, b"" where it cannot be read."""
        try:
            return self._file(seed).read_bytes()
        except FileNotFoundError:
            return self._packed(seed)
        except IsADirectoryError:
            return None

    def sha256(self, seed: int) -> str | None:
        """Return the hex sha256 of a sample; None where it is not there."""
        data = self.read(seed)
        return None if data is None else hashlib.sha256(data).hexdigest()

    def drop(self, seeds: Sequence[int]) -> None:
        """Delete the files of these seeds, and the archives in which there are some of them."""
        for seed in seeds:
            self._file(seed).unlink(missing_ok=True)
        for first in {together(seed)[0] for seed in seeds}:
            self.archive(first).unlink(missing_ok=True)
        self._index = None

    def archive(self, first: int) -> Path:
        """Return the path of the archive that begins with a seed."""
        return self.folder / f"{first:09d}-{first + PACKED - 1:09d}.zip"

    def pack(self, seeds: Sequence[int], digests: Sequence[str]) -> None:
        """Move the files of seeds that are `together` into their archive.

        Nothing changes where a file has another sha256 than its own in `digests`, where all together are larger than
        `LARGEST`, and where none is outside of the archive. A process that is killed leaves the files.
        """
        with suppress(FileNotFoundError, ValueError):
            loose = [seed for seed in seeds if self._file(seed).is_file()]
            if not loose or sum(self._file(seed).stat().st_size for seed in loose) > LARGEST:
                return
            self._write_archive(seeds, digests)
            for seed in loose:
                self._file(seed).unlink(missing_ok=True)

    def _write_archive(self, seeds: Sequence[int], digests: Sequence[str]) -> None:
        """Write an archive; ValueError, and the earlier one stays, where a sample is not what it should be."""
        path = self.archive(seeds[0])
        with (
            replacing(path) as file,
            zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive,
        ):
            for seed, digest in zip(seeds, digests, strict=True):
                data = self.read(seed)
                if data is None or hashlib.sha256(data).hexdigest() != digest:
                    raise ValueError(f"{self.name(seed)} is damaged")
                entry = zipfile.ZipInfo(self.name(seed), DATE)
                entry.create_system, entry.external_attr = 3, 0o644 << 16  # as on Unix, whatever this is
                archive.writestr(entry, data)
        self._index = None

    def _packed(self, seed: int) -> bytes | None:
        """A sample from its archive; None where there is no archive, b"" where the archive is damaged."""
        path = self.archive(together(seed)[0])
        try:
            with path.open("rb") as file:
                header, size = self._entries(path)[self.name(seed)]
                file.seek(header)
                name, extra = struct.unpack("<26x2H", file.read(LOCAL_HEADER))
                file.seek(name + extra, os.SEEK_CUR)
                return file.read(size)
        except FileNotFoundError:
            return None
        except Exception:  # damaged bytes make zipfile raise exceptions of many kinds
            return b""

    def _entries(self, path: Path) -> dict[str, Place]:
        """Where the entries of an archive lie; it is remembered for the samples that follow."""
        if self._index is None or self._index[0] != path:
            with zipfile.ZipFile(path) as archive:
                entries = {e.filename: (e.header_offset, e.file_size) for e in archive.infolist()}
            self._index = path, entries
        return self._index[1]

    def _file(self, seed: int) -> Path:
        return self.folder / self.name(seed)


def together(seed: int) -> range:
    """Return the seeds that share an archive with a seed, itself included."""
    first = seed - seed % PACKED
    return range(first, first + PACKED)
