"""EasyCache's rule (arXiv 2507.02860, its code for HunyuanVideo), written out on a DiT in float64."""

import torch
from torch import Tensor

from tests.oracles.double_dit import DoubleDiT


def easycache(dit: DoubleDiT, threshold: float, warmup: int) -> tuple[Tensor, list[bool]]:
    """The final x, and which evaluations were computed."""
    x, error, k, computed = dit.noise(), 0.0, 0.0, list[bool]()
    seen: list[Tensor] = []  # every input
    full: list[tuple[Tensor, Tensor]] = []  # inputs and outputs of computed evaluations
    with torch.no_grad():
        for e in range(dit.evals):
            if e < warmup or e == dit.evals - 1 or len(full) < 2:
                should_calc, error = True, 0.0
            else:
                error += k * float((x - seen[-1]).abs().mean()) / float(full[-1][1].abs().mean())
                should_calc = error >= threshold
                error = 0.0 if should_calc else error
            seen.append(x)
            if should_calc:
                full.append((x, dit.output(e, x)))
                if len(full) > 1:
                    (old_in, old_out), (new_in, new_out) = full[-2:]
                    k = float((new_out - old_out).abs().mean() / (new_in - old_in).abs().mean())
            output = x + (full[-1][1] - full[-1][0])
            x = x - 0.2 * output
            computed.append(should_calc)
    return x, computed
