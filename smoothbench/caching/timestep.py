"""The timestep of a forward, as its arguments show it."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from smoothbench.caching.intercept import Forward

TIMESTEP_NAMES = ("timestep", "timesteps", "t", "sigma")


class TimestepArgument:
    """Finds a denoiser's timestep among the arguments of a forward."""

    def __init__(self, forward: Forward) -> None:
        names = list(inspect.signature(forward).parameters)
        known = [name for name in TIMESTEP_NAMES if name in names]
        self._name = known[0] if known else TIMESTEP_NAMES[0]
        self._position = names.index(self._name) if known else len(names)

    def read(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> float | None:
        """The timestep, or None where there is none.

        Where it is given per sample or per token, its mean: tokens that a pipeline conditions on (the first
        frame of image-to-video) stay at one value, and the mean moves with the others.
        """
        value = kwargs.get(self._name, args[self._position] if self._position < len(args) else None)
        if not isinstance(value, Tensor):
            return None if value is None else float(value)
        if value.numel() == 1:
            return float(value)
        values = value.detach().cpu().double()
        low, high = values.min().item(), values.max().item()
        return low if low == high else values.mean().item()


def first_tensor(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor:
    """The denoiser's main input: by convention its first tensor argument."""
    return next(value for value in (*args, *kwargs.values()) if isinstance(value, Tensor))
