"""DDIM with the reference implementation's time grid (Song et al. 2021; facebookresearch/DiT)."""

from dataclasses import dataclass
from itertools import accumulate, repeat

from torch import Tensor

from smoothbench.solvers.linear_betas import LinearBetas
from smoothbench.types import Noise, Predict


@dataclass(frozen=True)
class DDIM(LinearBetas):
    """Deterministic DDIM for noise prediction on `train_steps` linear betas.

    By the reference the grid is spread evenly from 0 to the last timestep, by adding up its stride and
    rounding, and each update goes to the previous timestep of the grid. diffusers' default grid has the
    stride train_steps // steps from 0, and its update goes back by that stride: on this grid, too, to the
    previous timestep, and from 0 to the sample itself (its `set_alpha_to_one`). Raises ValueError for a
    number of steps outside 2 to `train_steps` and for other numerics than these two.
    """

    numerics: str = "reference"  # reference | diffusers
    name = "ddim"
    version = 2  # 1 multiplied the stride: another grid at 278 of the step counts from 2 to 1000

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.numerics not in ("reference", "diffusers"):
            raise ValueError(f"solver.numerics must be reference or diffusers, not {self.numerics}")

    @property
    def coordinates(self) -> tuple[float, ...]:
        """Timesteps in order of execution, the noisiest first."""
        if self.numerics == "diffusers":
            return tuple(float(i * (self.train_steps // self.steps)) for i in reversed(range(self.steps)))
        # summed, as the reference does: where a place is a half, the sum's last bit decides how it is rounded
        places = accumulate(repeat(self._stride, self.steps - 1), initial=0.0)
        return tuple(float(round(place)) for place in places)[::-1]

    @property
    def numbers_since(self) -> int:
        """The first version that gave these samples: most grids are those that version 1 had."""
        multiplied = tuple(float(round(i * self._stride)) for i in reversed(range(self.steps)))
        return 1 if self.numerics == "diffusers" or self.coordinates == multiplied else self.version

    @property
    def _stride(self) -> float:
        return (self.train_steps - 1) / (self.steps - 1)

    def integrate(self, x: Tensor, predict: Predict, noise: Noise) -> Tensor:
        """From noise x [B, ...] to a sample; `noise` is not drawn from."""
        signal = self._signal()
        for e, t in enumerate(self.coordinates):
            x = _step(x, predict(e, x, t), signal[e], signal[e + 1])
        return x

    def step(self, e: int, x: Tensor, epsilon: Tensor) -> Tensor:
        """From the sample at evaluation e, and the noise predicted there, to that of the next evaluation."""
        signal = self._signal()
        return _step(x, epsilon, signal[e], signal[e + 1])

    def noised(self, clean: Tensor, e: int, noise: Tensor) -> Tensor:
        """A finished sample diffused to evaluation e."""
        signal = self._signal()[e]
        return signal**0.5 * clean + (1 - signal) ** 0.5 * noise

    def _signal(self) -> list[float]:
        """Signal variance at each evaluation, and of the finished sample."""
        alphas_bar = self.alphas_bar().tolist()
        return [alphas_bar[int(t)] for t in self.coordinates] + [1.0]


def _step(x: Tensor, epsilon: Tensor, here: float, there: float) -> Tensor:
    x0 = (x - (1 - here) ** 0.5 * epsilon) / here**0.5
    return there**0.5 * x0 + (1 - there) ** 0.5 * epsilon
