"""Metrics' networks leave the model's device while its memory is measured."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from smoothbench.protocols import Prompted
from smoothbench.scoring.metric import CPU, MeetsModel
from smoothbench.scoring.scorer import Scorer


@contextmanager
def off_device(scorer: Scorer) -> Iterator[None]:
    """Keep the networks of encoders and metrics in main memory within a context, and off the model's device."""
    if scorer.model.device == CPU:
        yield
        return
    _place(scorer, CPU)
    try:
        yield
    finally:
        _place(scorer, scorer.model.device)


def _place(scorer: Scorer, device: torch.device) -> None:
    texts = scorer.model.prompts.texts if isinstance(scorer.model, Prompted) else None
    for bound_metric in scorer.metrics.values():
        if bound_metric.encoder is not None:
            bound_metric.encoder.to(device)
        if isinstance(bound_metric.metric, MeetsModel):
            bound_metric.metric.meet(device, texts)
