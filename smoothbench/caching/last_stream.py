"""What the last block of a denoiser hands on, which several planners compare between evaluations."""

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from smoothbench.caching.calibration_batch import CalibrationBatch
from smoothbench.caching.probes import INPUT, Probe
from smoothbench.caching.sites import SPAN, find_sites


def last_stream(batch: CalibrationBatch) -> Tensor:
    """Return what the last block hands on along the uncached run, [evaluation, sample, row, ...].

    It is what enters the last span of blocks plus what they add; of two streams that of the picture, clip or sound.
    Where it leaves in another shape than it enters with, it is what the span gives. Raises ValueError for a denoiser
    without blocks.
    """
    span = find_sites(batch.denoiser, SPAN)[-1].name
    recording = batch.record([Probe(span, INPUT), Probe(span)])
    entered, given = recording.tensor(Probe(span, INPUT)), recording.tensor(Probe(span))
    return entered + given if entered.shape == given.shape else given


def cosine_errors(stream: Tensor, lags: int) -> Tensor:
    """Return how far the mean token turns in 1 to `lags` evaluations, float64 [lag - 1, evaluation, sample].

    It is one minus the cosine of an evaluation's mean token and that of `lag` evaluations before, all guidance rows in
    one vector; 0 where there is none before. Args: stream [evaluation, sample, row, ..., width], the channels last, as
    a U-Net's are not. This is the error prior of CEM (arXiv 2512.23258; its code).
    """
    tokens = stream.double().flatten(3, -2).mean(3).flatten(2)
    errors = torch.zeros(lags, *tokens.shape[:2], dtype=torch.float64)
    for lag in range(1, min(lags + 1, len(tokens))):
        errors[lag - 1, lag:] = 1 - cosine_similarity(tokens[lag:], tokens[:-lag], dim=2, eps=1e-8)
    return errors
