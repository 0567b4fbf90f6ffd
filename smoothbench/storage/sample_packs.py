"""The files of samples by seed: one a sample, or one archive for a thousand seeds once all of these are there."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from smoothbench.storage.archives import ArchiveReader, write_archive
from smoothbench.storage.digest_memory import DigestMemory
from smoothbench.storage.files import link_or_copy, write_atomic

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

    def __init__(self, folder: Path, suffix: str, memory: DigestMemory | None = None) -> None:
        self.folder, self.suffix, self.memory = folder, suffix, memory or DigestMemory()
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
        readings = (self._read(path, seed) for path in self._places(seed))
        return next((data for data in readings if data is not None), None)

    def sha256(self, seed: int) -> str | None:
        """Return the hex sha256 of a sample; None where it is not there. It is read where its file has changed."""
        digests = (
            self.memory.sha256(path, seed, partial(self._read, path, seed)) for path in self._places(seed)
        )
        return next((digest for digest in digests if digest is not None), None)

    def adopt(self, other: "SampleFiles", samples: Mapping[int, str], seeds: Sequence[int]) -> bool:
        """Link the files of another folder in which these samples lie; whether all are here then, by their sha256.

        Nothing is linked where one lies in an archive that the samples of `seeds`, of the set, do not fill.
        Args: samples, the sha256 of each by its seed.
        """
        places = list(dict.fromkeys(place for seed in samples if (place := other.place(seed)) is not None))
        archives = [match for place in places if (match := ARCHIVE.fullmatch(place.name))]
        if not all(filled(together(int(archive[1])), seeds) for archive in archives):
            return False
        for place in places:
            target = self.folder / place.name
            # an archive is here already where an earlier batch lies in it, too
            if not (ARCHIVE.fullmatch(place.name) and target.exists()):
                link_or_copy(place, target)
        self._look_again()
        return all(self.sha256(seed) == digest for seed, digest in samples.items())

    def place(self, seed: int) -> Path | None:
        """Return the file or the archive in which a sample lies; None where it is not there."""
        return next((path for path in self._places(seed) if path.is_file()), None)

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

    def _places(self, seed: int) -> Iterator[Path]:
        """Yield where a sample may lie, the newest first: its file, archives of batches, that of a thousand."""
        yield self._file(seed)
        for archive in [*self._batches([seed]), together(seed)]:
            yield self._path(archive)

    def _read(self, path: Path, seed: int) -> bytes | None:
        """A sample from its file or an archive; None where there is none, b"" where it cannot be read."""
        if path.name != self.name(seed):
            return self._reader.read(path, self.name(seed))
        try:
            return path.read_bytes()
        except (FileNotFoundError, IsADirectoryError):
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
