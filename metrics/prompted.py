"""Tables with an entry for each prompt (labels, embeddings, logits), looked up for samples of these prompts."""

import hashlib

import torch
from torch import Tensor


def checked_table(table: Tensor, name: str, ndim: int) -> Tensor:
    """Return a table with an entry for each prompt, [P, ...]; ValueError for another type or shape, NaN or Inf."""
    if not isinstance(table, Tensor) or table.ndim != ndim or 0 in table.shape:
        shown = list(table.shape) if isinstance(table, Tensor) else repr(table)[:60]
        raise ValueError(f"{name} must be a tensor of {ndim} dimensions with a row a prompt, not {shown}")
    if bad := int((~torch.isfinite(table.double().reshape(len(table), -1))).any(1).sum()):
        raise ValueError(f"{bad} of {len(table)} rows of {name} hold NaN or Inf: make them again")
    return table


def look_up(table: Tensor, condition: Tensor, name: str) -> Tensor:
    """Look up the entries [B, ...] of the prompts whose numbers are `condition`, int64 [B].

    Raises ValueError for another type or shape, for -1 (no prompt), and for a prompt without an entry.
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
