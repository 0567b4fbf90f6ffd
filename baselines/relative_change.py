"""How much tensors change."""

from collections.abc import Sequence

from torch import Tensor


def relative_change(new: Sequence[Tensor], old: Sequence[Tensor]) -> float:
    """Return the relative L1 change of tensors: the sum of absolute differences over that of the old values."""
    changed = sum((a.float() - b.float()).abs().sum() for a, b in zip(new, old, strict=True))
    return float(changed / sum(tensor.float().abs().sum() for tensor in old))
