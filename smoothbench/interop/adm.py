"""`python -m smoothbench.export DIR POINT FILE.npz`: a point's samples as ADM's own evaluation reads them.

DIR is the results folder, POINT a name or a point_id. The npz has arr_0, uint8 [N, H, W, 3], in the order of
the seeds; grey images stand on all three channels.
"""

import smoothbench.sibling_packages  # noqa: F401  before what imports metrics

# isort: split
import argparse
import shutil
import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from smoothbench import command
from smoothbench.errors import UsageError, distinct
from smoothbench.media.codecs import Png
from smoothbench.media.image_npz import Shape, write_images
from smoothbench.storage.find_point import parts_of
from smoothbench.storage.record import Record
from smoothbench.storage.results_folder import Store
from smoothbench.storage.sample_files import Samples

CHUNK, BATCH = 1000, 50  # images whose files are looked at, and that are written, at once

Images = NDArray[np.uint8]


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 it failed (a full disk), 2 the request cannot be met, 128 + a signal's number: stopped."""
    parser = command.parser("smoothbench.export", __doc__)
    parser.add_argument("folder", type=Path, metavar="DIR", help="results folder, with records/ in it")
    parser.add_argument("point", metavar="POINT", help="a point's name or point_id")
    parser.add_argument("file", type=Path, metavar="FILE.npz", help="written anew where it exists")
    options = parser.parse_args(arguments)
    return command.main(lambda: _exported(options), f"{options.file} is as it was")


def _exported(options: argparse.Namespace) -> int:
    try:
        shape = export(options.folder, options.point, options.file)
    except OSError as error:
        return command.end(f"{options.file}: {error.strerror or error}", 1)
    print(f"{options.file}: arr_0 {list(shape)}")
    return 0


def export(folder: Path, point: str, file: Path) -> Shape:
    """Write the samples of a point and return the shape of arr_0, whole or not at all.

    Raises UsageError where there is no such point, where it is not finished, where samples are missing or
    damaged, and where the disk has not enough room.
    """
    parts = parts_of(Store(folder).records(), folder, point)
    count = sum(part.num_samples for part in parts)
    with tqdm(total=count, desc=point, unit="image", disable=None) as bar:
        batches = _batches(folder, parts, bar)
        first = next(batches)
        shape = (count, *first.shape[1:])
        _check_room(file, int(np.prod(shape)))
        write_images(file, shape, chain([first], batches))
    return shape


def _batches(folder: Path, parts: Sequence[Record], bar: Any) -> Iterator[Images]:
    """Images [<=50, H, W, 3] in the order of the seeds; UsageError where files are gone or damaged."""
    for part in parts:
        first, stop = part.seeds[0]
        others = {path.suffix for path in (folder / "samples" / part.sample_id).glob("*.*")} & {
            ".flac",
            ".webp",
        }
        if others:
            raise UsageError(
                f"{part.name}: its samples are clips ({others.pop()} files), and ADM's evaluation reads images"
            )
        all_samples = Samples(folder / "samples", part.sample_id, range(first, stop), BATCH, Png())
        for start in range(first, stop, CHUNK):
            samples = all_samples.of(range(start, min(start + CHUNK, stop)))
            samples.require_all(part.name)
            for batch, images in samples.read():
                yield np.repeat(images.permute(0, 2, 3, 1).numpy(), 3 // images.shape[1], axis=3)
                bar.update(len(batch))


def _check_room(file: Path, needed: int) -> None:
    place = next(each for each in file.absolute().parents if each.exists())
    free = shutil.disk_usage(place).free
    if free < needed:
        needed_gb, there = distinct(needed / 1e9, free / 1e9, digits=2)
        raise UsageError(f"{file} needs {needed_gb} GB, {there} GB are free: make room")


if __name__ == "__main__":
    sys.exit(main())
