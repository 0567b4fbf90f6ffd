"""Fit the weights of kept outputs so that the uncached run's own outputs are matched, by inner products alone."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from smoothbench.caching.batch_runs import BatchRuns
from smoothbench.caching.input_weights import InputWeights
from smoothbench.caching.least_squares import check_count, ridge_weights
from smoothbench.caching.probes import Probe
from smoothbench.caching.reference_run import Reference
from smoothbench.caching.schedule import Schedule
from smoothbench.caching.sites import DENOISER
from smoothbench.caching.transitions import inner_products
from smoothbench.caching.weighted_sum import WeightedSum

# from inner products of a site's outputs [evals, evals], the evaluations of the past ones (the newest first), and the
# evaluation to predict, to the weights of the past ones
Row = Callable[[Tensor, Sequence[int], int], list[float]]


def matching_outputs(schedule: Schedule, batch: BatchRuns, depth: int, row: Row) -> WeightedSum:
    """Return weights of the last `depth` computed outputs, for each site and evaluation that a schedule skips.

    `row` fits them to the outputs that the uncached run has at those evaluations, over all samples of the batch.
    """
    recording = batch.record([Probe(site) for site in schedule.sites])
    table = {}
    for i, site in enumerate(schedule.sites):
        gram, rows = recording.gram(Probe(site)).sum(0), list[list[float]]()
        for e, past in enumerate(_kept(schedule, i, depth)):
            rows.append(row(gram, past, e) if past else [])
        table[site] = rows
    return WeightedSum(table, batch.trajectory.coordinates)


def matching_denoised(
    schedule: Schedule, reference: Reference, depth: int, ridge: float, timesteps: Sequence[float]
) -> InputWeights:
    """Return weights of the last `depth` computed outputs and of the noisy samples, for each skipped evaluation.

    They predict the denoised sample, of which an output is made with the present noisy sample: the noise that a solver
    drew since is in that sample, and in no earlier output. Outputs are those of the recorded run, after guidance.
    """
    run = reference.uncached
    gram, first = inner_products(run, reference.solver), len(run.states)
    outputs, inputs = list[list[float]](), list[list[float]]()
    for e, past in enumerate(_kept(schedule, 0, depth)):
        vectors = [*(first + k for k in past), e, *past]
        check_count(len(vectors), run.states[e].numel(), run.samples, depth)
        row = nearest(gram, vectors, first + e, ridge) if past else []
        outputs.append(row[: len(past)])
        inputs.append(row[len(past) :])
    return InputWeights({DENOISER: outputs}, timesteps, inputs={DENOISER: inputs})


def _kept(schedule: Schedule, site: int, depth: int) -> Iterator[list[int]]:
    """The computed evaluations that a skipped one is predicted from, the newest first; none for a computed one."""
    past = list[int]()
    for e, bits in enumerate(schedule.computed):
        yield [] if bits[site] else past
        past = [e, *past][:depth] if bits[site] else past


def nearest(gram: Tensor, vectors: Sequence[int], target: int, ridge: float) -> list[float]:
    """Return the weights of vectors nearest to a target; leaving the first of them alone has a price."""
    prior = torch.zeros(len(vectors), dtype=gram.dtype)
    prior[0] = 1
    among, products = gram[vectors][:, vectors], gram[vectors, target]
    weights: list[float] = ridge_weights(among, products, prior, ridge).tolist()
    return weights
