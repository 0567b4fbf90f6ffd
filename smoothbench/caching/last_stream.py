"""What the last block of a denoiser hands on, which several planners compare between evaluations."""

from torch import Tensor

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
    entered, given = recording.tensor(Probe(span, INPUT)), recording.tensor(Probe(span), -1)
    return entered + given if entered.shape == given.shape else given
