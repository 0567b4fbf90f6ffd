"""Zip archives of samples: not compressed, for samples are, and the same samples give the same bytes."""

import os
import struct
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from smoothbench.storage.files import replacing

DATE: Final = (1980, 1, 1, 0, 0, 0)  # of all entries: no clock decides the bytes
LOCAL_HEADER: Final = 30  # bytes of an entry's header before its name

Place = tuple[int, int]  # of an entry's header in its archive, and the bytes of its data


def write_archive(path: Path, entries: Iterable[tuple[str, bytes]], sync: bool = True) -> None:
    """Write an archive of names and data, whole or not at all; where `entries` raises, an earlier one stays."""
    with (
        replacing(path, sync) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive,
    ):
        for name, data in entries:
            entry = zipfile.ZipInfo(name, DATE)
            entry.create_system, entry.external_attr = 3, 0o644 << 16  # as on Unix, whatever this is
            archive.writestr(entry, data)


class ArchiveReader:
    """Reads entries of archives by their offset; it remembers where those of the last archive lie."""

    def __init__(self) -> None:
        self._index: tuple[Path, dict[str, Place]] | None = None

    def forget(self) -> None:
        """Look at the next archive anew: it may have been written again."""
        self._index = None

    def read(self, path: Path, name: str) -> bytes | None:
        """Read an entry; None where there is no archive, b"" where it is damaged or has no such entry."""
        try:
            with path.open("rb") as file:
                header, size = self._entries(path)[name]
                file.seek(header)
                skipped = struct.unpack("<26x2H", file.read(LOCAL_HEADER))
                file.seek(sum(skipped), os.SEEK_CUR)
                return file.read(size)
        except FileNotFoundError:
            return None
        except Exception:  # damaged bytes make zipfile raise exceptions of many kinds
            return b""

    def _entries(self, path: Path) -> dict[str, Place]:
        index = self._index  # another thread may forget it
        if index is None or index[0] != path:
            with zipfile.ZipFile(path) as archive:
                entries = {e.filename: (e.header_offset, e.file_size) for e in archive.infolist()}
            self._index = index = path, entries
        return index[1]
