"""Samples on disk: files by seed with a manifest, from which a killed run goes on."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from smoothbench.errors import UsageError
from smoothbench.protocols import Media
from smoothbench.storage.digest_memory import DigestMemory
from smoothbench.storage.files import write_atomic
from smoothbench.storage.manifest import Manifest
from smoothbench.storage.sample_packs import SampleFiles, filled, together

PREVIEWS = 8

Batch = tuple[Sequence[int], Tensor]  # seeds and their samples
# `map`, or one in workers
Encoding = Callable[[Callable[[Tensor], bytes], Sequence[Tensor]], Iterable[bytes]]
Decoding = Callable[[Callable[[bytes], Tensor], Sequence[bytes]], Iterable[Tensor]]  # the same


class Samples:
    """The samples of one `sample_id` on disk, by seed, and their manifest: see `SampleFiles` and `Manifest`.

    A batch is done when all of its files are there with the sha256 of the manifest, and its cost is known: for a
    dynamic policy from the manifest, which must have counts of all `sites`; a static one (no `sites`) costs what its
    schedule says. Any other batch is generated again. `memory` knows the sha256 of files that were read before.
    """

    def __init__(
        self,
        folder: Path,
        sample_id: str,
        seeds: Sequence[int],
        batch_size: int,
        media: Media,
        sites: Collection[str] = (),
        memory: DigestMemory | None = None,
    ) -> None:
        self.sites = sites
        self.folder, self.sample_id, self.media = folder / sample_id, sample_id, media
        self.seeds, self.batch_size = seeds, batch_size
        self.files = SampleFiles(self.folder, media.suffix, memory)
        self.manifest = Manifest(self.folder, sample_id, media.suffix)

    def of(self, seeds: Sequence[int]) -> Self:
        """Return some of these samples, of the same files and manifest."""
        part = copy(self)
        part.seeds = seeds
        return part

    def batches(self) -> list[Sequence[int]]:
        """The seeds of all batches, in order: always the same partition."""
        return [self.seeds[i : i + self.batch_size] for i in range(0, len(self.seeds), self.batch_size)]

    def missing(self) -> list[Sequence[int]]:
        """The batches that are not done."""
        return [batch for batch in self.batches() if not self.is_done(batch)]

    def require_all(self, name: str) -> None:
        """Raise UsageError, naming the point, where samples are deleted or damaged."""
        if missing := self.missing():
            raise UsageError(
                f"{name}: of the samples {missing[0][0]} to {missing[0][-1]} some are deleted or damaged "
                f"in {self.folder}: run it again, with keep_samples=true"
            )

    def write(
        self,
        batch: Sequence[int],
        samples: Tensor,
        calls: Mapping[str, float] | None = None,
        encoding: Encoding = map,
    ) -> None:
        """Add a finished batch; its line in the manifest comes last.

        Args: calls, at how many evaluations each site was computed, by name, where no schedule decides it; encoding,
        what applies the codec to the samples in order.
        """
        self._add(batch, encoding(self.media.encode, list(samples)), calls)

    def adopt(self, other: "Samples") -> None:
        """Take over the batches that are done in another folder, where another process wrote them.

        Both folders must divide their seeds into the same batches; those of seeds beyond these samples' stay there.
        Files are linked, and copied only where that cannot be. Of samples that were dropped there, what the manifest
        knows is taken over.
        """
        theirs = set(other.seeds)
        for batch in self.batches():
            if theirs.issuperset(batch) and not self.is_done(batch):
                calls = other.manifest.calls_of(batch) or None
                if other.is_done(batch):
                    digests = {seed: other.manifest.digests[seed] for seed in batch}
                    if self.files.adopt(other.files, digests, self.seeds):
                        self._note(batch, list(digests.values()), calls)
                    else:
                        self._add(batch, map(other.data, batch), calls)
                elif (dropped := other.dropped(batch)) is not None:
                    self.manifest.add(batch, dropped, calls)

    def close(self) -> None:
        """Bring files and manifest into their final form once all batches are done; else nothing changes.

        That form does not depend on how often a run was stopped, nor on which process drew which batch.
        """
        if self.manifest.digests_of(self.seeds) is None or not self.counted():
            return
        self._pack(self.seeds)
        self.manifest.close(self.batches())

    def forget(self) -> None:
        """Count no batch as done."""
        self.manifest.forget()

    def read(self, decoding: Decoding = map) -> Iterator[Batch]:
        """Seeds and samples, batch by batch; `decoding` applies the codec to the files in order."""
        for batch in self.batches():
            yield batch, torch.stack(list(decoding(self.media.decode, [self.data(seed) for seed in batch])))

    def data(self, seed: int) -> bytes:
        """Return the encoded sample of a seed; FileNotFoundError where there is none."""
        data = self.files.read(seed)
        if data is None:
            raise FileNotFoundError(f"{self.folder / self.files.name(seed)} is not there")
        return data

    def calls(self) -> dict[str, float]:
        """At how many evaluations each site was computed, as a mean over samples; empty where a schedule decides it."""
        weighed: defaultdict[str, float] = defaultdict(float)
        for batch in self.batches():
            for site, count in self.manifest.calls_of(batch).items():
                weighed[site] += count * len(batch)
        return {site: count / len(self.seeds) for site, count in weighed.items()}

    def damaged(self) -> bool:
        """Tell whether a sample has another sha256 than the manifest's; samples that are gone are no damage."""
        return any(self._intact(seed) is False for seed in self.seeds)

    def counted(self) -> bool:
        """Tell whether the cost of every batch is known, also where the files were dropped."""
        return all(self._counted(batch) for batch in self.batches())

    def previews(self, folder: Path) -> list[Path]:
        """Where copies of the first few samples lie, beside the records."""
        return [folder / self.sample_id / self.files.name(seed) for seed in self.seeds[:PREVIEWS]]

    def copy_previews(self, folder: Path) -> None:
        """Copy the first few samples to where previews lie."""
        for seed, target in zip(self.seeds, self.previews(folder), strict=False):
            write_atomic(target, self.data(seed), sync=False)

    def drop(self) -> None:
        """Delete the files; the manifest stays, with their sha256 and their cost."""
        self.files.drop(self.seeds)

    def dropped(self, batch: Sequence[int]) -> list[str] | None:
        """Return the sha256 of a batch whose files were all deleted, by sample; None of any other batch."""
        gone = self._counted(batch) and all(self.files.place(seed) is None for seed in batch)
        return self.manifest.digests_of(batch) if gone else None

    def is_done(self, batch: Sequence[int]) -> bool:
        """Tell whether a batch has its files, intact, and its cost."""
        return self._counted(batch) and all(self._intact(seed) for seed in batch)

    def _add(self, batch: Sequence[int], encoded: Iterable[bytes], calls: Mapping[str, float] | None) -> None:
        """Write the files of a batch, then its line, then the archives of thousands of seeds that it completes."""
        samples = dict(zip(batch, encoded, strict=True))
        self.files.write(samples, self.seeds)
        self._note(batch, [hashlib.sha256(data).hexdigest() for data in samples.values()], calls)

    def _note(self, batch: Sequence[int], digests: Sequence[str], calls: Mapping[str, float] | None) -> None:
        """Write the line of a batch whose files are here, then the archives that it completes."""
        self.manifest.add(batch, digests, calls)
        self._pack(batch)

    def _pack(self, seeds: Sequence[int]) -> None:
        """Move all that share an archive with these seeds into it, where all of them are of this set and known."""
        for first in sorted({together(seed)[0] for seed in seeds}):
            block = together(first)
            if filled(block, self.seeds) and (digests := self.manifest.digests_of(block)) is not None:
                self.files.pack(block, digests)

    def _counted(self, batch: Sequence[int]) -> bool:
        """A static policy costs what its schedule says, whatever the batches were."""
        return not self.sites or self.manifest.calls_of(batch).keys() == set(self.sites)

    def _intact(self, seed: int) -> bool | None:
        """Whether a sample has the sha256 that the manifest says; None where there is no sample."""
        digest = self.files.sha256(seed)
        return None if digest is None else digest == self.manifest.digests.get(seed)
