"""TeaCache's rule (arXiv 2411.19108), written out on a DiT in float64."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from tests.oracles.double_dit import DoubleDiT


def rel_l1(new: Tensor, old: Tensor) -> float:
    return float((new - old).abs().mean() / old.abs().mean())


def pairs(dit: DoubleDiT) -> tuple[list[float], list[float]]:
    """Changes of the modulated input and of the output, of each sample with its two guidance rows."""
    xs, ys = list[float](), list[float]()
    inputs, outputs, x = list[Tensor](), list[Tensor](), dit.noise()
    with torch.no_grad():
        for e in range(dit.evals):
            inputs.append(dit.modulated(e, dit.stream(x)))
            outputs.append(dit.output(e, x))
            x = x - 0.2 * outputs[-1]
    for e in range(1, dit.evals):
        for sample in range(dit.rows):
            own = [sample, sample + dit.rows]
            xs.append(rel_l1(inputs[e][own], inputs[e - 1][own]))
            ys.append(rel_l1(outputs[e][own], outputs[e - 1][own]))
    return xs, ys


def teacache(dit: DoubleDiT, coefficients: Sequence[float], threshold: float) -> tuple[Tensor, list[bool]]:
    """The final x, and which evaluations were computed."""
    rescale, x, added, computed = np.poly1d(list(coefficients)), dit.noise(), 0.0, list[bool]()
    previous: Tensor | None = None
    residual: Tensor | None = None
    with torch.no_grad():
        for e in range(dit.evals):
            entered = dit.stream(x)
            modulated = dit.modulated(e, entered)
            if e in (0, dit.evals - 1):
                should_calc, added = True, 0.0
            else:
                assert previous is not None
                added += float(rescale(rel_l1(modulated, previous)))
                should_calc = added >= threshold
                added = 0.0 if should_calc else added
            previous = modulated
            if should_calc:
                stream = entered
                for k in range(len(dit.blocks)):
                    stream = dit.after_block(k, e, stream)
                residual = stream - entered
            assert residual is not None
            x = x - 0.2 * dit.head(e, entered + residual)
            computed.append(should_calc)
    return x, computed
