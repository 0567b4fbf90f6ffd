"""AdaCache's rule (arXiv 2411.02397, its code), written out on a DiT in float64."""

from collections.abc import Mapping

import torch
from torch import Tensor

from tests.oracles.double_dit import DoubleDiT


def adacache(dit: DoubleDiT, codebook: Mapping[float, int], block: int) -> tuple[Tensor, list[int]]:
    """The final x, and the computed evaluations, counted from 1."""
    x, rate, previous_step, recomputed = dit.noise(), 1, 0, list[int]()
    thresholds, rates = list(codebook), list(codebook.values())
    residuals: dict[int, Tensor] = {}  # of each block
    with torch.no_grad():
        for step in range(1, dit.evals + 1):
            active = step == previous_step + rate or step in (1, dit.evals - 1, dit.evals)
            stream = dit.stream(x)
            for k in range(len(dit.blocks)):
                if not active:
                    stream = stream + residuals[k]
                    continue
                after = dit.after_block(k, step - 1, stream)
                if k == block and k in residuals:
                    new, old = after - stream, residuals[k]
                    change = float((old - new).abs().sum() / old.abs().sum()) / rate
                    places = [i for i, threshold in enumerate(thresholds[:-1]) if change < threshold]
                    next_rate = rates[places[0]] if places else rates[-1]
                residuals[k], stream = after - stream, after
            if active:
                previous_step = step
                recomputed.append(step)
                if len(recomputed) > 1:
                    rate = next_rate
            x = x - 0.2 * dit.head(step - 1, stream)
    return x, recomputed
