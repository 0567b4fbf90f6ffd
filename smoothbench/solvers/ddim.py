"""DDIM with the reference implementation's time grid (Song et al. 2021; facebookresearch/DiT)."""

from dataclasses import dataclass

from torch import Tensor

from smoothbench.solvers.linear_betas import LinearBetas
from smoothbench.types import Noise, Predict


@dataclass(frozen=True)
class DDIM(LinearBetas):
    """Deterministic DDIM for noise prediction on `train_steps` linear betas.

    The grid is spread evenly from 0 to the last timestep and each update goes to the previous
    timestep of the grid: diffusers' scheduler differs in both. Raises ValueError for a number of
    steps outside 2 to `train_steps`.
    """

    @property
    def coordinates(self) -> tuple[float, ...]:
        """Timesteps in order of execution, the noisiest first."""
        stride = (self.train_steps - 1) / (self.steps - 1)
        return tuple(float(round(i * stride)) for i in reversed(range(self.steps)))

    def integrate(self, x: Tensor, predict: Predict, noise: Noise) -> Tensor:
        """From noise x [B, ...] to a sample; `noise` is not drawn from."""
        alphas_bar = self.alphas_bar().tolist()
        signal = [alphas_bar[int(t)] for t in self.coordinates] + [1.0]
        for e, t in enumerate(self.coordinates):
            epsilon = predict(e, x, t)
            x0 = (x - (1 - signal[e]) ** 0.5 * epsilon) / signal[e] ** 0.5
            x = signal[e + 1] ** 0.5 * x0 + (1 - signal[e + 1]) ** 0.5 * epsilon
        return x
