"""Read the timestep that all rows of a forward share, without waiting for a device."""

from collections.abc import Sequence

import torch
from torch import Tensor


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
