"""Write ever more synthetic samples, and check that the work per sample stays as it is; no model runs.

    python -m tests.stress.scale --counts 1000 10000 100000
    python -m tests.stress.scale --report --points 50 --samples 50000

The first prints, for each count, the host's CPU seconds, those of the system apart, and the bytes written a sample:
encode, write, hash and list images and features, read all again, and score them. It exits 1 where a larger count costs
a sample over 10 % more bytes, or over 10 % and 10 us more CPU seconds, than the smallest. The second makes a folder of
so many points with as many samples each, and prints the CPU seconds and the memory of its report.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from metrics.moments import Moments
from smoothbench.media.codecs import Png
from smoothbench.sampling.write_behind import WriteBehind
from smoothbench.storage.feature_cache import FeatureCache
from smoothbench.storage.sample_files import Samples
from tests.support import report_folder

BATCH, WIDTH, SIZE = 100, 256, 28
FLAT = 1.10  # the most that a sample of a larger count may cost, over one of the smallest
FREE = 10.0  # microseconds that it may cost more in any case: clocks of short runs are no finer


def written() -> int:
    """Bytes that this process has handed to the system to write."""
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(lines["wchar"])


class Cost(NamedTuple):
    """What a sample costs: microseconds of CPU in the program and in the system, and bytes."""

    program: float
    system: float
    bytes: float


@contextmanager
def measured(costs: dict[str, Cost], what: str, count: int) -> Iterator[None]:
    """Add the cost a sample of a context."""
    before, started = written(), resource.getrusage(resource.RUSAGE_SELF)
    yield
    ended, bytes_written = resource.getrusage(resource.RUSAGE_SELF), written() - before
    program, system = ended.ru_utime - started.ru_utime, ended.ru_stime - started.ru_stime
    costs[what] = Cost(1e6 * program / count, 1e6 * system / count, bytes_written / count)


def samples_of(folder: Path, count: int) -> Samples:
    return Samples(folder / "samples", "set", range(count), BATCH, Png())


def cost(folder: Path, count: int) -> dict[str, Cost]:
    """The cost a sample of each stage."""
    costs: dict[str, Cost] = {}
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (BATCH, 1, SIZE, SIZE), generator=generator, dtype=torch.uint8)
    rows = np.random.default_rng(0).normal(size=(BATCH, WIDTH)).astype(np.float32)
    with measured(costs, "encode and write", count):
        samples = samples_of(folder, count)
        with WriteBehind(samples) as writer:
            for batch in samples.batches():
                writer.write(batch, images, None)
        samples.close()
    with measured(costs, "see that all is there", count):
        assert not samples_of(folder, count).missing()
    cache = FeatureCache(folder / "observations")
    with measured(costs, "read and write features", count), cache.streaming("set", range(count)) as streams:
        for _ in samples_of(folder, count).read():
            streams.add("key", rows)
    with measured(costs, "mean and covariance", count):
        features, moments = cache.read("set", "key", range(count)), Moments()
        assert features is not None
        moments.update(features)
        assert moments.count == count
    return costs


def storage(counts: Sequence[int], place: Path | None) -> bool:
    """Print a line a stage; whether a sample costs as much at all counts, within `FLAT`."""
    costs = {}
    for count in counts:
        with tempfile.TemporaryDirectory(dir=place) as folder:
            costs[count] = cost(Path(folder), count)
            files = sum(path.is_file() for path in Path(folder).rglob("*"))
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(f"{count} samples: {files} files, at most {memory:.2f} GB of memory", flush=True)
    flat = True
    for stage in costs[counts[0]]:
        program, system, size = zip(*(costs[count][stage] for count in counts), strict=True)
        cpu = [sum(each) for each in zip(program, system, strict=True)]
        flat &= max(size) <= FLAT * max(size[0], 1) and max(cpu) <= max(FLAT * cpu[0], cpu[0] + FREE)
        print(
            f"{stage:24} {_row(program)} us of CPU, {_row(system)} us of the system, {_row(size)} bytes a sample"
        )
    return flat


def _row(values: Sequence[float]) -> str:
    return " / ".join(f"{value:.0f}" for value in values)


def report(points: int, samples: int) -> None:
    """Print the CPU seconds and the memory of the report of a synthetic folder."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "synthetic"
        for i in range(points):
            order = i % len(report_folder.plans())
            content = report_folder.record(order, samples, (0, samples))
            if i >= len(report_folder.plans()):
                changed = {"reference": False, "label": f"{content['label']} again {i}", "name": f"again-{i}"}
                content |= changed | {"point_id": f"{i:016x}", "cell_id": f"{i + 10**6:016x}"}
            report_folder.save(path, content)
        command = [sys.executable, "-m", "smoothbench.report", str(path)]
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        size = len(json.dumps(content)) / 1e3
        print(
            f"report of {points} points of {samples} samples: {used.ru_utime + used.ru_stime:.0f} s of CPU, "
            f"{time.perf_counter() - started:.0f} s in all, {used.ru_maxrss / 1e6:.2f} GB; a record has {size:.0f} kB"
        )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--folder", type=Path, help="where to write")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--points", type=int, default=50)
    parser.add_argument("--samples", type=int, default=50_000)
    options = parser.parse_args()
    if options.report:
        report(options.points, options.samples)
        return 0
    return 0 if storage(options.counts, options.folder) else 1


if __name__ == "__main__":
    sys.exit(main())
