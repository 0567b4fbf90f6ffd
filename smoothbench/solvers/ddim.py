"""DDIM with the original implementation's time grid (Song et al. 2021, arXiv 2010.02502; facebookresearch/DiT)."""

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, repeat

from torch import Tensor

from smoothbench.protocols import Noise
from smoothbench.solvers.linear_betas import LinearBetas
from smoothbench.solvers.plain_state import PlainState


@dataclass(frozen=True)
class DDIM(PlainState, LinearBetas):
    """Deterministic DDIM for denoisers that predict noise, on `train_steps` linear betas.

    `numerics` chooses the time grid. The original's grid (`reference`) is even from 0 to the last timestep: its stride
    is added up, and each sum is rounded. diffusers' default grid has the stride train_steps // steps, from 0. On
    both, an update goes from one timestep of the grid to the next less noisy one, and from the last one to the
    finished sample (diffusers: `set_alpha_to_one`). Raises ValueError for a number of steps outside 2 to
    `train_steps`, and for other numerics than these two.
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
        # summed, as in the original: where a place is a half, the sum's last bit decides how it is rounded
        places = accumulate(repeat(self._stride, self.steps - 1), initial=0.0)
        return tuple(float(round(place)) for place in places)[::-1]

    @property
    def numbers_since(self) -> int:
        """The first version that gave the same samples as this one: for most grids that is version 1."""
        multiplied = tuple(float(round(i * self._stride)) for i in reversed(range(self.steps)))
        return 1 if self.numerics == "diffusers" or self.coordinates == multiplied else self.version

    def step(self, e: int, state: Tensor, output: Tensor, noise: Noise) -> Tensor:
        """Go from evaluation e to the next one along the noise predicted at e; draws no fresh noise.

        Args: state and output, the noisy sample and the predicted noise, both [B, ...].
        """
        here, there = self._signal[e], self._signal[e + 1]
        x0 = (state - (1 - here) ** 0.5 * output) / here**0.5
        return there**0.5 * x0 + (1 - there) ** 0.5 * output

    def diffuse(self, clean: Tensor, e: int, noise: Tensor) -> Tensor:
        """Diffuse a clean sample with noise, both [B, ...], to the state at evaluation e (the forward process)."""
        signal = self._signal[e]
        return signal**0.5 * clean + (1 - signal) ** 0.5 * noise

    @property
    def _stride(self) -> float:
        return (self.train_steps - 1) / (self.steps - 1)

    @cached_property
    def _signal(self) -> list[float]:
        """Signal variance alpha^2 at each evaluation, and at last that of the finished sample."""
        alphas_bar = self.alphas_bar().tolist()
        return [alphas_bar[int(t)] for t in self.coordinates] + [1.0]
