"""Fit the weights of kept outputs so that the uncached run's own outputs are matched."""

from collections.abc import Sequence

import torch
from torch import Tensor

from smoothbench.caching.batch_runs import BatchRuns
from smoothbench.caching.least_squares import ridge_weights
from smoothbench.caching.probes import Probe
from smoothbench.caching.schedule import Schedule
from smoothbench.caching.weighted_sum import WeightedSum


def matching_outputs(schedule: Schedule, batch: BatchRuns, depth: int, ridge: float) -> WeightedSum:
    """Return weights of the last `depth` computed outputs, for each site and evaluation that a schedule skips."""
    recording = batch.record([Probe(site) for site in schedule.sites])
    table = {}
    for i, site in enumerate(schedule.sites):
        gram, past, rows = recording.gram(Probe(site)).sum(0), list[int](), list[list[float]]()
        for e, bits in enumerate(schedule.computed):
            rows.append([] if bits[i] else _weights(gram, past, e, ridge))
            past = [e, *past][:depth] if bits[i] else past
        table[site] = rows
    return WeightedSum(table, batch.trajectory.coordinates)


def _weights(gram: Tensor, past: Sequence[int], e: int, ridge: float) -> list[float]:
    prior = torch.zeros(len(past), dtype=gram.dtype)
    prior[0] = 1
    weights: list[float] = ridge_weights(gram[past][:, past], gram[past, e], prior, ridge).tolist()
    return weights
