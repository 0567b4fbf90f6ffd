"""The noise levels that solvers for v-prediction share: k-diffusion's polyexponential range of sigma."""

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import ClassVar


@dataclass(frozen=True)
class SigmaRange:
    """A falling grid of noise levels sigma, where a noisy sample is x0 + sigma * noise.

    The levels fall from `sigma_max` to `sigma_min`, with `rho` = 1 evenly in log(sigma) (stable-audio-tools' default).
    Raises ValueError, naming the setting, for values out of range, and for levels that do not fall strictly in
    double precision.
    """

    prediction: ClassVar[str] = "v"
    steps: int = 100
    sigma_min: float = 0.3
    sigma_max: float = 500.0
    rho: float = 1.0

    def __post_init__(self) -> None:
        if type(self.steps) is not int or self.steps < 2:
            raise ValueError(f"solver.steps must be a whole number from 2, not {self.steps}")
        self._check_numbers("sigma_min", "sigma_max", "rho")
        if self.sigma_min >= self.sigma_max:
            raise ValueError(f"solver.sigma_min={self.sigma_min} must be below sigma_max={self.sigma_max}")
        equal = [e for e, (a, b) in enumerate(pairwise(self.coordinates)) if not a > b]
        if equal:
            raise ValueError(
                f"solver.rho={self.rho}, sigma_min={self.sigma_min}, sigma_max={self.sigma_max}: levels {equal[0]} "
                f"and {equal[0] + 1} of {self.steps} are the same: take rho nearer to 1, or the two further apart"
            )

    @cached_property
    def coordinates(self) -> tuple[float, ...]:
        """Noise levels sigma in order of execution, the noisiest first."""
        low, high = math.log(self.sigma_min), math.log(self.sigma_max)
        ramp = [(1 - e / (self.steps - 1)) ** self.rho for e in range(self.steps)]
        return tuple(math.exp(low + (high - low) * place) for place in ramp)

    @property
    def noise_to_signal(self) -> tuple[float, ...]:
        """Ratio of noise to signal in the sample at each evaluation: the noise level itself."""
        return self.coordinates

    def _check_numbers(self, *keys: str, may_be_zero: bool = False) -> None:
        for key in keys:
            value = getattr(self, key)
            is_number = type(value) in (int, float) and math.isfinite(value)
            if not is_number or value < 0 or (value == 0 and not may_be_zero):
                least = "from 0" if may_be_zero else "above 0"
                raise ValueError(f"solver.{key} must be a finite number {least}, not {value}")
