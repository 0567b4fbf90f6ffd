"""Samples on disk: files by seed with a manifest, from which a killed run goes on."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from smoothbench.store import read_json, write_atomic, write_json
from smoothbench.types import Media

SCHEMA = 1  # of the manifest
PREVIEWS = 8


class Samples:
    """The samples of one `sample_id`: `<seed>.png` (or as the media says) and `manifest.json`.

    A batch counts as done when the manifest has its cost and each of its files is there with the
    sha256 that the manifest tells; anything else is generated again.
    """

    def __init__(
        self, folder: Path, sample_id: str, seeds: Sequence[int], batch_size: int, media: Media
    ) -> None:
        self.folder, self.sample_id, self.media = folder / sample_id, sample_id, media
        self.seeds, self.batch_size = seeds, batch_size
        manifest: Any = read_json(self.folder / "manifest.json")
        fresh: dict[str, Any] = {"schema": SCHEMA, "sample_id": sample_id, "files": {}, "macs": {}}
        self.manifest = dict(manifest) if _valid(manifest, sample_id) else fresh

    def batches(self) -> list[Sequence[int]]:
        """The seeds of all batches, in order: always the same partition."""
        return [self.seeds[i : i + self.batch_size] for i in range(0, len(self.seeds), self.batch_size)]

    def missing(self) -> list[Sequence[int]]:
        """The batches that are not there, or not whole."""
        return [batch for batch in self.batches() if not self._whole(batch)]

    def write(self, batch: Sequence[int], samples: Tensor, macs: int) -> None:
        """Add a finished batch and its cost per sample; the manifest comes last."""
        for seed, sample in zip(batch, samples, strict=True):
            data = self.media.encode(sample)
            write_atomic(self._file(seed), data, sync=False)
            self.manifest["files"][self._file(seed).name] = hashlib.sha256(data).hexdigest()
        self.manifest["macs"][_key(batch)] = macs
        write_json(self.folder / "manifest.json", self.manifest)

    def forget(self) -> None:
        """Take nothing that is there for done."""
        self.manifest |= {"files": {}, "macs": {}}

    def read(self) -> Iterator[tuple[Sequence[int], Tensor]]:
        """Seeds and samples, batch by batch."""
        for batch in self.batches():
            yield batch, torch.stack([self.media.decode(self._file(seed).read_bytes()) for seed in batch])

    def macs(self) -> float:
        """Cost per sample, from executed forwards, averaged over the samples."""
        return sum(self.manifest["macs"][_key(batch)] * len(batch) for batch in self.batches()) / len(
            self.seeds
        )

    def damaged(self) -> bool:
        """Whether a file is there that is not what the manifest tells; files that are gone are no damage."""
        found = (self._file(seed) for seed in self.seeds)
        return any(file.exists() and not self._intact(file) for file in found)

    def counted(self) -> bool:
        """Whether the manifest has the cost of every batch, also where the files were dropped."""
        return all(_key(batch) in self.manifest["macs"] for batch in self.batches())

    def previews(self, folder: Path) -> list[Path]:
        """Where the first few samples are kept, beside the records."""
        return [folder / self.sample_id / self._file(seed).name for seed in self.seeds[:PREVIEWS]]

    def copy_previews(self, folder: Path) -> None:
        """Keep the first few samples."""
        for seed, target in zip(self.seeds, self.previews(folder), strict=False):
            write_atomic(target, self._file(seed).read_bytes(), sync=False)

    def drop(self) -> None:
        """Delete the files; the manifest stays, and tells what they were and cost."""
        for seed in self.seeds:
            self._file(seed).unlink(missing_ok=True)

    def _file(self, seed: int) -> Path:
        return self.folder / f"{seed:09d}{self.media.suffix}"

    def _whole(self, batch: Sequence[int]) -> bool:
        return _key(batch) in self.manifest["macs"] and all(self._intact(self._file(seed)) for seed in batch)

    def _intact(self, file: Path) -> bool:
        expected = self.manifest["files"].get(file.name)
        return file.exists() and hashlib.sha256(file.read_bytes()).hexdigest() == expected


def _key(batch: Sequence[int]) -> str:
    """A batch by its first seed and its size: another partition is another batch."""
    return f"{batch[0]:09d}+{len(batch)}"


def _valid(manifest: Any, sample_id: str) -> bool:
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        return False
    return manifest.get("sample_id") == sample_id and all(
        isinstance(manifest.get(k), dict) for k in ("files", "macs")
    )
