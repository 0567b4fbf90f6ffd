"""Samples on disk: files by seed with a manifest, from which a killed run goes on."""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from smoothbench.errors import UsageError
from smoothbench.protocols import Media
from smoothbench.storage.files import link_or_copy, read_json, sha256_of, write_atomic, write_json

SCHEMA = 1  # of the manifest; older files also have `macs`, which nothing reads
PREVIEWS = 8


class Samples:
    """The samples of one `sample_id` on disk: `<seed>.png` (or another suffix of its media) and `manifest.json`.

    A batch is done when all of its files are there with the sha256 of the manifest, and its cost is known: for a
    dynamic policy from the manifest, which must have counts of all `sites`; a static one (no `sites`) costs what its
    schedule says. Any other batch is generated again.
    """

    def __init__(
        self,
        folder: Path,
        sample_id: str,
        seeds: Sequence[int],
        batch_size: int,
        media: Media,
        sites: Collection[str] = (),
    ) -> None:
        self.sites = sites
        self.folder, self.sample_id, self.media = folder / sample_id, sample_id, media
        self.seeds, self.batch_size = seeds, batch_size
        manifest: Any = read_json(self.folder / "manifest.json")
        known = manifest if _valid(manifest, sample_id) else {"files": {}}
        self.manifest: dict[str, Any] = {
            "schema": SCHEMA,
            "sample_id": sample_id,
            "files": {name: digest for name, digest in known["files"].items() if isinstance(digest, str)},
            "calls": {batch: calls for batch, calls in known.get("calls", {}).items() if _counts(calls)},
        }

    def batches(self) -> list[Sequence[int]]:
        """The seeds of all batches, in order: always the same partition."""
        return [self.seeds[i : i + self.batch_size] for i in range(0, len(self.seeds), self.batch_size)]

    def missing(self) -> list[Sequence[int]]:
        """The batches that are not done."""
        return [batch for batch in self.batches() if not self._is_done(batch)]

    def require_all(self, name: str) -> None:
        """Raise UsageError, naming the point, where samples are deleted or damaged."""
        if missing := self.missing():
            raise UsageError(
                f"{name}: of the samples {missing[0][0]} to {missing[0][-1]} some are deleted or damaged "
                f"in {self.folder}: run it again, with keep_samples=true"
            )

    def write(self, batch: Sequence[int], samples: Tensor, calls: Mapping[str, float] | None = None) -> None:
        """Add a finished batch; the manifest comes last.

        Args: calls, at how many evaluations each site was computed, by name, where no schedule decides it.
        """
        for seed, sample in zip(batch, samples, strict=True):
            data = self.media.encode(sample)
            write_atomic(self._file(seed), data, sync=False)
            self.manifest["files"][self._file(seed).name] = hashlib.sha256(data).hexdigest()
        if calls is not None:
            self.manifest["calls"][_key(batch)] = dict(calls)
        write_json(self.folder / "manifest.json", self.manifest)

    def forget(self) -> None:
        """Count no batch as done."""
        self.manifest |= {"files": {}, "calls": {}}

    def read(self) -> Iterator[tuple[Sequence[int], Tensor]]:
        """Seeds and samples, batch by batch."""
        for batch in self.batches():
            yield batch, torch.stack([self.media.decode(self._file(seed).read_bytes()) for seed in batch])

    def calls(self) -> dict[str, float]:
        """At how many evaluations each site was computed, as a mean over samples; empty where a schedule decides it."""
        weighed: Counter[str] = Counter()
        for batch in self.batches():
            for site, count in self.manifest["calls"].get(_key(batch), {}).items():
                weighed[site] += count * len(batch)
        return {site: count / len(self.seeds) for site, count in weighed.items()}

    def damaged(self) -> bool:
        """Tell whether a file has another sha256 than the manifest's; files that are gone are no damage."""
        expected = (self._file(seed) for seed in self.seeds)
        return any(file.is_file() and not self._intact(file) for file in expected)

    def counted(self) -> bool:
        """Tell whether the cost of every batch is known, also where the files were dropped."""
        return all(self._counted(batch) for batch in self.batches())

    def previews(self, folder: Path) -> list[Path]:
        """Where copies of the first few samples lie, beside the records."""
        return [folder / self.sample_id / self._file(seed).name for seed in self.seeds[:PREVIEWS]]

    def copy_previews(self, folder: Path) -> None:
        """Copy the first few samples to where previews lie."""
        for seed, target in zip(self.seeds, self.previews(folder), strict=False):
            write_atomic(target, self._file(seed).read_bytes(), sync=False)

    def drop(self) -> None:
        """Delete the files; the manifest stays, with their sha256 and their cost."""
        for seed in self.seeds:
            self._file(seed).unlink(missing_ok=True)

    def adopt(self, other: "Samples") -> None:
        """Take over what another folder has of these samples, by links where the file system has them.

        Whether the files are intact is found out where they are used.
        """
        digests = other.manifest["files"]
        named = {seed: name for seed in other.seeds if (name := self._file(seed).name) in digests}
        for seed in (seed for seed in named if seed in self.seeds):
            if (source := other._file(seed)).is_file():
                link_or_copy(source, self._file(seed))
            self.manifest["files"][named[seed]] = digests[named[seed]]
        for batch in map(_key, self.batches()):
            if batch in other.manifest["calls"]:
                self.manifest["calls"][batch] = other.manifest["calls"][batch]
        if named:
            write_json(self.folder / "manifest.json", self.manifest)

    def _file(self, seed: int) -> Path:
        return self.folder / f"{seed:09d}{self.media.suffix}"

    def _is_done(self, batch: Sequence[int]) -> bool:
        return self._counted(batch) and all(self._intact(self._file(seed)) for seed in batch)

    def _counted(self, batch: Sequence[int]) -> bool:
        """A static policy costs what its schedule says, whatever the batches were."""
        return not self.sites or self.manifest["calls"].get(_key(batch), {}).keys() == set(self.sites)

    def _intact(self, file: Path) -> bool:
        expected = self.manifest["files"].get(file.name)
        return file.is_file() and sha256_of(file) == expected


def _counts(calls: Any) -> bool:
    counts = calls.values() if isinstance(calls, dict) else ()
    return bool(counts) and all(type(count) in (int, float) and 0 <= count < 10**6 for count in counts)


def _key(batch: Sequence[int]) -> str:
    """A batch by its first seed and its size: another partition is another batch."""
    return f"{batch[0]:09d}+{len(batch)}"


def _valid(manifest: Any, sample_id: str) -> bool:
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        return False
    parts = (manifest.get("files"), manifest.get("calls", {}))
    return manifest.get("sample_id") == sample_id and all(isinstance(part, dict) for part in parts)
