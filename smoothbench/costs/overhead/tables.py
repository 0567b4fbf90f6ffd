"""The printed tables: medians with their 95 % intervals, and Markdown rows for the comparison with the peers."""

from collections.abc import Iterator, Sequence

from smoothbench.costs.overhead.beside import Table
from smoothbench.costs.overhead.kernels import Kernels
from smoothbench.costs.overhead.realised import Interval, Row
from smoothbench.costs.overhead.reused import Reused

MIB = 2**20
BESIDE = (
    "| batch | cache | reuses | all computed, time / bare | N=2, realised | N=3, realised | N=3, time / bare | MiB |\n"
    "| ---: | --- | --- | --- | --- | --- | --- | ---: |"
)


def shown(interval: Interval) -> str:
    """Return a median and its interval as text: `1.002 [0.998, 1.010]`."""
    middle, low, high = interval
    return f"{middle:.3f} [{low:.3f}, {high:.3f}]"


def realised_lines(batch: int, rows: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of a batch size: time over the bare and the uncached forward, implied and realised speed-up."""
    yield (
        f"batch {batch:<4} {'run':28} {'level':8} {'predictor':9} {'time / bare':22} {'time / uncached':22} "
        f"{'implied':>8}  {'realised / implied':22} {'cache MiB':>9}"
    )
    for row in rows:
        yield (
            f"           {row.label:28.28} {row.level:8} {row.predictor:9} {shown(row.over_bare):22} "
            f"{shown(row.over_uncached):22} {row.implied:7.3f}x  {shown(row.realised):22} {row.cache_bytes / MIB:9.2f}"
        )


def reused_lines(batch: int, rows: Sequence[Reused]) -> Iterator[str]:
    """Yield a line for each level: a fully reused evaluation over its floors."""
    for row in rows:
        yield (
            f"batch {batch:<4} everything reused, {row.level}: {row.milliseconds:.3f} ms, floor "
            f"{row.floor_milliseconds:.3f} ms: {shown(row.over_floor)} of the floor, {shown(row.over_loop)} of the "
            "floor in the same loop"
        )


def kernels_line(what: str, row: Kernels) -> str:
    """Return the line of a model's kernels."""
    return (
        f"kernels of an evaluation, {what}, {row.level}: bare {row.bare}, computed and kept {row.computed}, "
        f"reused {row.reused}"
    )


def beside_lines(batch: int, table: Table) -> Iterator[str]:
    """Yield the Markdown rows of a batch size: for each cache its rows with everything computed, N=2 and N=3."""
    for name, (full, second, third) in table.items():
        cells = [name, third.level, shown(full.over_bare), shown(_own(second)), shown(_own(third))]
        yield f"| {batch} | {' | '.join(cells)} | {shown(third.over_bare)} | {third.cache_bytes / MIB:.2f} |"


def _own(row: Row) -> Interval:
    """The realised share over the run's own uncached forward: a peer's is the bare one."""
    return row.realised if row.predictor else row.realised_over_bare
