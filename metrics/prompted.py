"""What is known of each prompt, looked up for the samples that were asked for it."""

import hashlib

import torch
from torch import Tensor


def checked_table(table: Tensor, name: str, ndim: int) -> Tensor:
    """A tensor with a row for each prompt, [P, ...]; ValueError for no tensor, another shape, NaN or Inf."""
    if not isinstance(table, Tensor) or table.ndim != ndim or 0 in table.shape:
        found = list(table.shape) if isinstance(table, Tensor) else repr(table)[:60]
        raise ValueError(f"{name} must be a tensor of {ndim} dimensions with a row a prompt, not {found}")
    if bad := int((~torch.isfinite(table.double().reshape(len(table), -1))).any(1).sum()):
        raise ValueError(f"{bad} of {len(table)} rows of {name} hold NaN or Inf: make them again")
    return table


def rows_of(table: Tensor, condition: Tensor, name: str) -> Tensor:
    """The rows [B, ...] of the prompts whose numbers are `condition`, int64 [B].

    Raises ValueError for another type or shape, for -1 (no prompt), and for a prompt that has no row.
    """
    condition = condition.detach().cpu()
    if condition.dtype != torch.int64 or condition.ndim != 1:
        raise ValueError(
            f"condition must be int64 [B], one prompt a sample, not {condition.dtype} {list(condition.shape)}"
        )
    low, high = (int(end) for end in torch.aminmax(condition))
    if low < 0 or high >= len(table):
        raise ValueError(
            f"condition has the prompts {low} to {high}, {name} 0 to {len(table) - 1}: "
            "take both from one list of prompts"
        )
    return table[condition]


def digest(table: Tensor) -> str:
    """The sha256 of a table's numbers."""
    return hashlib.sha256(table.contiguous().numpy().tobytes()).hexdigest()
