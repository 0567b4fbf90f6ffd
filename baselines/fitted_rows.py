"""Fit weights of past outputs on recordings of the uncached calibration batch, for one schedule."""

from collections.abc import Callable, Sequence

from torch import Tensor

from smoothbench.caching import Probe, Schedule, WeightedSum
from smoothbench.caching.batch_runs import BatchRuns

# from inner products of a site's outputs [evals, evals], the evaluations of the past ones (the newest first), and the
# evaluation to predict, to the weights of the past ones
Row = Callable[[Tensor, Sequence[int], int], list[float]]


def fitted(schedule: Schedule, batch: BatchRuns, depth: int, row: Row) -> WeightedSum:
    """Return weights of the last `depth` computed outputs, for each site and evaluation that a schedule skips.

    They are fitted to the outputs that the uncached run has at those evaluations, over all samples of the batch.
    """
    recording = batch.record([Probe(site) for site in schedule.sites])
    table = {}
    for i, site in enumerate(schedule.sites):
        gram, past, rows = recording.gram(Probe(site)).sum(0), list[int](), list[list[float]]()
        for e, bits in enumerate(schedule.computed):
            rows.append([] if bits[i] else row(gram, past, e))
            past = [e, *past][:depth] if bits[i] else past
        table[site] = rows
    return WeightedSum(table, batch.trajectory.coordinates)
