"""How much tensors change, and parameters that are thresholds of it."""

from collections.abc import Sequence
from math import isfinite

from torch import Tensor


def relative_change(new: Sequence[Tensor], old: Sequence[Tensor]) -> float:
    """Return the relative L1 change of tensors: the sum of absolute differences over that of the old values."""
    changed = sum((a.float() - b.float()).abs().sum() for a, b in zip(new, old, strict=True))
    return float(changed / sum(tensor.float().abs().sum() for tensor in old))


def check_number(name: str, value: float) -> None:
    """Raise ValueError, naming the parameter, for anything but a finite number from 0."""
    if type(value) not in (int, float) or not isfinite(value) or value < 0:
        raise ValueError(f"{name} must be a finite number from 0, not {value!r}")
