"""Read the timestep of a forward from its arguments."""

import inspect
from collections.abc import Mapping, Sequence
from types import FunctionType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from smoothbench.caching.hooks import Forward

TIMESTEP_NAMES = (
    "timestep",
    "timesteps",
    "t",
    "sigma",
    "timestep_ratio",  # Stable Cascade
    "decoder_noise_time",  # T5-FiLM
    "vision_timesteps",  # Cosmos 3
    "bb_ca_time",  # RFD4
)


class Timestep(NamedTuple):
    """The timestep of one forward: the commonest `value` where samples or tokens differ, and the `mean` of all.

    Tokens that a pipeline conditions on (the first frame of image-to-video) stay at one value.
    """

    value: float
    mean: float


class TimestepArgument:
    """Finds a denoiser's timestep among the arguments of a forward."""

    def __init__(self, forward: Forward) -> None:
        names = _argument_names(forward)
        self._positions = {name: names.index(name) for name in TIMESTEP_NAMES if name in names}

    def read(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Timestep | None:
        """The timestep of a forward with these arguments; None where there is none."""
        for name in self._positions or TIMESTEP_NAMES:
            position = self._positions.get(name, len(args))
            value = kwargs.get(name, args[position] if position < len(args) else None)
            if value is not None:
                return _read(value)
        return None


def _argument_names(forward: Forward) -> Sequence[str]:
    """The names of a forward's arguments, in order; `inspect.signature` takes ten times as long for a plain method."""
    function: Any = getattr(forward, "__func__", None)
    plain = type(function) is FunctionType and not function.__dict__  # nobody's wrapper
    if not plain or function.__code__.co_flags & inspect.CO_VARARGS:
        return list(inspect.signature(forward).parameters)
    code = function.__code__
    return code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]


def _read(argument: Any) -> Timestep:
    numbers = torch.as_tensor(argument).detach().flatten().tolist()
    if numbers.count(numbers[0]) == len(numbers):
        return Timestep(float(numbers[0]), float(numbers[0]))
    values = torch.tensor(numbers, dtype=torch.float64)
    return Timestep(values.mode().values.item(), values.mean().item())


def first_tensor(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor:
    """The denoiser's main input, by convention its first tensor argument.

    A list of tensors, one for each row of the batch (Z-Image), is stacked. Raises ValueError where there is none.
    """
    for value in (*args, *kwargs.values()):
        if isinstance(value, Tensor):
            return value
        if isinstance(value, list) and value and _is_batch(value):
            return torch.stack(value)
    raise ValueError("a forward without a tensor among its arguments cannot be cached")


def _is_batch(rows: Sequence[Any]) -> bool:
    return all(isinstance(row, Tensor) for row in rows) and len({row.shape for row in rows}) == 1
