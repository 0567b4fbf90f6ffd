"""SeaCache's rule (arXiv 2602.18993) on the denoiser's input, written out with numpy on a DiT in float64."""

import numpy as np
import torch
from torch import Tensor

from tests.oracles.double_dit import DoubleDiT


def filtered(x: Tensor, a: float, b: float, power: float) -> np.ndarray:
    """The Wiener filter for a x0 + b noise along the last two axes, of mean gain 1."""
    gain = np.ones(())
    for size in x.shape[2:]:
        signal = 1 / (np.abs(np.fft.fftfreq(size)) ** power + 1e-16)
        gain = np.multiply.outer(gain, a * signal / (a * a * signal + b * b + 1e-16))
    spectrum = np.fft.fftn(x.numpy(), axes=(2, 3)) * (gain / gain.mean())
    return np.fft.ifftn(spectrum, axes=(2, 3)).real


def seacache(
    dit: DoubleDiT, alphas_bar: list[float], threshold: float, longest: int | None = None
) -> tuple[Tensor, list[bool]]:
    """The final x, and which evaluations were computed."""
    x, added, in_a_row, computed = dit.noise(), 0.0, 0, list[bool]()
    previous = np.zeros(())
    residual: Tensor | None = None
    with torch.no_grad():
        for e in range(dit.evals):
            signal = alphas_bar[int(dit.timesteps[e])]
            now = filtered(x, signal**0.5, (1 - signal) ** 0.5, 2.0)
            if e in (0, dit.evals - 1) or in_a_row == longest:
                should_calc = True
            else:
                added += float(np.abs(now - previous).mean() / np.abs(previous).mean())
                should_calc = added >= threshold
            added, in_a_row = (0.0, 0) if should_calc else (added, in_a_row + 1)
            previous, entered = now, dit.stream(x)
            if should_calc:
                stream = entered
                for k in range(len(dit.blocks)):
                    stream = dit.after_block(k, e, stream)
                residual = stream - entered
            assert residual is not None
            x = x - 0.2 * dit.head(e, entered + residual)
            computed.append(should_calc)
    return x, computed
