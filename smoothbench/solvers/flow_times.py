"""The time grid that solvers for velocity prediction share: rectified flow's, moved towards the noise."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

TRAIN_STEPS = 1000.0  # the denoiser's timestep at t = 1, where there is noise alone


@dataclass(frozen=True)
class FlowTimes:
    """A grid of times on straight paths from noise to data, at which a solver evaluates the denoiser.

    A noisy sample is z = (1 - t) x0 + t noise, and the denoiser predicts v = x0 - noise at timestep 1000 t. The grid
    is even in time, t = 1 - i / steps, and then moved towards the noise: t <- shift t / (1 + (shift - 1) t); a
    `shift` of 1 leaves it. Raises ValueError, naming the setting, for values out of range.
    """

    prediction: ClassVar[str] = "velocity"
    steps: int = 30
    shift: float = 1.0

    def __post_init__(self) -> None:
        if type(self.steps) is not int or self.steps < 2:
            raise ValueError(f"solver.steps must be a whole number from 2, not {self.steps}")
        if type(self.shift) not in (int, float) or not 0 < self.shift < math.inf:
            raise ValueError(f"solver.shift must be a finite number above 0 (1: none), not {self.shift}")

    @property
    def coordinates(self) -> tuple[float, ...]:
        """Timesteps in (0, 1000] in order of execution, the noisiest first."""
        return tuple(TRAIN_STEPS * t for t in self._times[:-1])

    @property
    def noise_to_signal(self) -> tuple[float, ...]:
        """Ratio t / (1 - t) of noise to signal in the sample at each evaluation; infinite where all is noise."""
        return tuple(t / (1 - t) if t < 1 else math.inf for t in self._times[:-1])

    @cached_property
    def _times(self) -> list[float]:
        """Time t in [0, 1] of each evaluation, and at last that of the finished sample, 0."""
        even = [1 - i / self.steps for i in range(self.steps)]
        return [self.shift * t / (1 + (self.shift - 1) * t) for t in even] + [0.0]
