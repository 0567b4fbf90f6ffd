"""Encode and write samples while the next ones are drawn."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Self

from torch import Tensor

from smoothbench.storage.sample_files import Samples

ENCODERS: Final = 8  # threads that encode at most: disks are slower than more of them


class WriteBehind:
    """Writes finished batches in a thread, one after the other, in the order in which they come.

    Codecs compress without Python's lock, so the samples of a batch are encoded by several threads at once. At most
    one batch waits: drawing is held up where writing is slower. An error of a batch, like a full disk, is raised where
    the next one is handed over, or at the end of the context; after another exception the batch that was handed over
    is still written.
    """

    def __init__(self, samples: Samples) -> None:
        self.samples = samples
        self._pending: Future[None] | None = None
        self._writer = ThreadPoolExecutor(1, "samples")
        self._encoders = ThreadPoolExecutor(min(ENCODERS, os.cpu_count() or 1), "codec")

    def write(self, batch: Sequence[int], samples: Tensor, calls: Mapping[str, float] | None) -> None:
        """Hand over a finished batch; its arguments are those of `Samples.write`."""
        self._wait()
        self._pending = self._writer.submit(self.samples.write, batch, samples, calls, self._encoded)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        try:
            if kind is None:
                self._wait()
        finally:
            self._writer.shutdown()
            self._encoders.shutdown()

    def _encoded(self, encode: Callable[[Tensor], bytes], samples: Sequence[Tensor]) -> Iterator[bytes]:
        return self._encoders.map(encode, samples)

    def _wait(self) -> None:
        if self._pending is not None:
            pending, self._pending = self._pending, None
            pending.result()
