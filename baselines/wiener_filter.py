"""The filter that rids a noisy sample of its noise (SeaCache)."""

import torch
from torch import Tensor

LARGEST = 1e6  # ratio of noise to signal, as in the published code; where all is noise it has no bound


def wiener_filtered(x: Tensor, noise_to_signal: float, power: float | None = None) -> Tensor:
    """Filter noisy samples [B, C, ...] over their axes by a separable Wiener filter of mean gain 1, in float32.

    Along each axis the gain at frequency f is 1 / (1 + r^2 f^power), r being `noise_to_signal`: that of a signal whose
    power falls as f^-power. `power` is by default 2, and 3 for the three axes of video.
    """
    axes = tuple(range(2, x.ndim))
    exponent = power or (3.0 if len(axes) > 2 else 2.0)
    gain = torch.ones((), device=x.device)
    for axis in axes:
        frequency = torch.fft.fftfreq(x.shape[axis], device=x.device).abs()
        along = 1 / (1 + min(noise_to_signal, LARGEST) ** 2 * frequency**exponent)
        gain = gain * along.reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    return torch.fft.ifftn(torch.fft.fftn(x.float(), dim=axes) * (gain / gain.mean()), dim=axes).real
