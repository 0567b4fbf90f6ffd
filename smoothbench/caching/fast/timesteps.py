"""Read the timestep that all rows of a forward share, without waiting for a device; and embed timesteps ahead."""

from collections.abc import Callable, Sequence
from typing import Final

import torch
from torch import Tensor

# rows of a product: fewer are rounded otherwise, by one thread or two, and a sample would depend on its batch
ENOUGH: Final = 16


def shared_timestep(timestep: Tensor, announced: float | None) -> float | None:
    """Return the timestep [B] or [] of all rows; None where rows differ.

    On a CPU it is read. On a device it is the announced coordinate, as reading would wait for the device; where none
    was announced, the engine has waited already.
    """
    if timestep.device.type != "cpu" and announced is not None:
        return announced
    if timestep.ndim == 0:
        return float(timestep)
    values = (timestep if timestep.ndim == 1 else timestep.flatten()).tolist()
    return float(values[0]) if values.count(values[0]) == len(values) else None


def distinct_rows(timestep: Tensor) -> Tensor:
    """Return the timestep [1] that all rows share, or those of all rows [B]; on a device they are not looked at."""
    rows = timestep.flatten()
    return rows[:1] if rows.device.type == "cpu" and shared_timestep(rows, None) is not None else rows


def on_device(timesteps: Sequence[float], like: Tensor) -> Tensor:
    """Return timesteps [K] on the device and in the dtype of a tensor, without a copy from the host."""
    if like.device.type == "cpu":
        return torch.tensor(timesteps, dtype=like.dtype)
    return torch.stack([torch.full((), t, dtype=like.dtype, device=like.device) for t in timesteps])


def repeated(rows: Tensor) -> Tensor:
    """Return the rows [n, ...] of a product; where they are too few, they are repeated in turns."""
    if len(rows) >= ENOUGH:
        return rows
    return rows.index_select(0, torch.arange(ENOUGH, device=rows.device) % len(rows))


class TimeEmbeddings:
    """What a denoiser computes of timesteps alone: on a CPU for all of a run at once, for others when they come."""

    def __init__(
        self, compute: Callable[[Tensor], Sequence[Tensor]], coordinates: Sequence[float], like: Tensor
    ) -> None:
        """Args: compute, tensors [K, ...] of timesteps [K]; coordinates of the run; like, a timestep of a forward."""
        self._compute = compute
        self._known: dict[float, Sequence[Tensor]] = {}  # by timestep, [1, ...]
        if like.device.type == "cpu" and coordinates:
            timesteps = on_device(coordinates, like)
            of_each = zip(*(tensor.split(1) for tensor in compute(repeated(timesteps))), strict=True)
            self._known = dict(
                zip(timesteps.tolist(), of_each, strict=False)
            )  # beyond them stand repetitions

    def __call__(self, timestep: Tensor) -> Sequence[Tensor]:
        """Return the tensors of a forward's timestep, [1, ...] where all rows share it, else [B, ...]."""
        rows = distinct_rows(timestep)
        known = self._known.get(float(rows)) if self._known and len(rows) == 1 else None
        return self._compute(rows) if known is None else known
