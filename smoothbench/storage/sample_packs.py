"""The files of samples by seed: one a sample, or one archive for a thousand seeds once all of these are there."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from smoothbench.storage.archives import ArchiveReader, write_archive
from smoothbench.storage.files import write_atomic

PACKED: Final = (
    1000  # seeds of an archive: a folder of 50,000 files is slow on many file systems, and so is its copy
)
# bytes of an archive: long clips are large files already, writing them twice would cost more
LARGEST: Final = 2**30
ARCHIVE: Final = re.compile(r"([0-9]{9,12})-([0-9]{9,12})\.zip", re.ASCII)


class SampleFiles:
    """The files of samples in a folder: `<seed><suffix>`, or the same as an entry of `<first>-<last seed>.zip`.

    An archive of a thousand seeds replaces the archives of its batches, which spare a disk to make and delete a file a
    sample; any unpacker opens them. A file beside an archive is newer than the archive's entry, and so is the entry of
    a batch's archive.
    """

    def __init__(self, folder: Path, suffix: str) -> None:
        self.folder, self.suffix = folder, suffix
        self._reader = ArchiveReader()
        self._listed: list[range] | None = (
            None  # the seeds of each archive of a batch, as the folder was last seen
        )

    def name(self, seed: int) -> str:
        """Return the name of a sample's file, or of its entry."""
        return f"{seed:09d}{self.suffix}"

    def write(self, samples: Mapping[int, bytes], seeds: Sequence[int]) -> None:
        """Write the samples of a batch by seed: a file each, or one archive where `seeds`, of the set, fill a thousand.

        Files stay files where a thousand would be larger than `LARGEST`, and where a batch's archive has some of these
        samples already: a file is newer.
        """
        small = sum(map(len, samples.values())) * PACKED <= LARGEST * len(samples)
        for block in dict.fromkeys(map(together, samples)):
            part = {seed: data for seed, data in samples.items() if seed in block}
            if small and len(part) > 1 and filled(block, seeds) and not self._batches(list(part)):
                entries = ((self.name(seed), data) for seed, data in part.items())
                write_archive(self._path(list(part)), entries, sync=False)
                self._delete_files(part)
            else:
                for seed, data in part.items():
                    write_atomic(self._file(seed), data, sync=False)
        self._look_again()

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
        self._look_again()
        for archive in [*self._batches(seeds), *dict.fromkeys(map(together, seeds))]:
            self._path(archive).unlink(missing_ok=True)
        self._delete_files(seeds)
        self._look_again()

    def pack(self, seeds: range, digests: Sequence[str]) -> None:
        """Move the files of seeds that are `together`, and the archives of their batches, into one archive.

        Nothing changes where a sample has another sha256 than its own in `digests`, where all together are larger than
        `LARGEST`, and where none is outside of the archive. A process that is killed leaves what there was.
        """
        self._look_again()
        with suppress(FileNotFoundError, ValueError):
            loose, batches = [seed for seed in seeds if self._file(seed).is_file()], self._batches(seeds)
            size = sum(self._file(seed).stat().st_size for seed in loose)
            if not (loose or batches) or size > LARGEST:
                return
            write_archive(self._path(seeds), self._intact(seeds, digests))
            self._delete_files(loose)
            for batch in batches:
                self._path(batch).unlink(missing_ok=True)
        self._look_again()

    def _intact(self, seeds: Sequence[int], digests: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Yield samples by their names; ValueError where one is not what it should be."""
        for seed, digest in zip(seeds, digests, strict=True):
            data = self.read(seed)
            if data is None or hashlib.sha256(data).hexdigest() != digest:
                raise ValueError(f"{self.name(seed)} is damaged")
            yield self.name(seed), data

    def _packed(self, seed: int) -> bytes | None:
        """A sample from its archive; None where there is no archive, b"" where the archive is damaged."""
        for archive in [*self._batches([seed]), together(seed)]:
            if (data := self._reader.read(self._path(archive), self.name(seed))) is not None:
                return data
        return None

    def _batches(self, seeds: Sequence[int]) -> list[range]:
        """Return the seeds of each archive of a batch in which there are some of these, which follow each other."""
        listed = self._listed
        if listed is None:
            matches = [ARCHIVE.fullmatch(path.name) for path in self.folder.glob("*.zip")]
            archives = sorted((int(match[1]), int(match[2])) for match in matches if match)
            listed = [range(first, last + 1) for first, last in archives if last - first + 1 < PACKED]
            self._listed = listed
        return [batch for batch in listed if batch.start <= seeds[-1] and seeds[0] < batch.stop]

    def _look_again(self) -> None:
        """Forget what the folder was seen to hold: it has changed."""
        self._listed = None
        self._reader.forget()

    def _delete_files(self, seeds: Iterable[int]) -> None:
        for seed in seeds:
            self._file(seed).unlink(missing_ok=True)

    def _path(self, seeds: Sequence[int]) -> Path:
        return self.folder / f"{seeds[0]:09d}-{seeds[-1]:09d}.zip"

    def _file(self, seed: int) -> Path:
        return self.folder / self.name(seed)


def together(seed: int) -> range:
    """Return the seeds that share an archive with a seed, itself included."""
    first = seed - seed % PACKED
    return range(first, first + PACKED)


def filled(block: range, seeds: Sequence[int]) -> bool:
    """Tell whether all seeds that share an archive are among those of a set, which follow each other."""
    return seeds[0] <= block[0] and block[-1] <= seeds[-1]
