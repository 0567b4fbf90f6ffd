"""Read and decode the next samples while the last ones are scored."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from torch import Tensor

from smoothbench.protocols import Model
from smoothbench.storage.sample_files import Batch, Samples

DECODERS: Final = 8  # threads that decode at most
T = TypeVar("T")


def batches(model: Model, samples: Samples, baseline: Samples | None) -> Iterator[dict[str, Tensor]]:
    """Yield what metrics see of each batch: `samples`, `condition` and, where there are others, `baseline`."""
    others = read_ahead(baseline) if baseline else None
    for seeds, images in read_ahead(samples):
        batch = {"samples": images, "condition": model.labels_or_prompts(seeds)}
        yield batch | ({"baseline": next(others)[1]} if others else {})


def read_ahead(samples: Samples) -> Iterator[Batch]:
    """Yield seeds and samples batch by batch, as `Samples.read` does; one batch more is in memory than is used.

    Codecs decompress without Python's lock, so the samples of a batch are decoded by several threads at once.
    """
    with ThreadPoolExecutor(min(DECODERS, os.cpu_count() or 1), "codec") as decoders:
        yield from _ahead(samples.read(decoders.map))


def _ahead(iterator: Iterator[T]) -> Iterator[T]:
    """Yield what an iterator gives, and let it make the following one in a thread meanwhile."""
    end = object()
    with ThreadPoolExecutor(1, "samples") as reader:
        coming = reader.submit(next, iterator, end)
        while (made := coming.result()) is not end:
            coming = reader.submit(next, iterator, end)
            yield made  # type: ignore[misc]
