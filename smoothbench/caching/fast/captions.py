"""Masks of captions, as diffusers' transformers take them."""

import torch
from torch import Tensor


def attention_bias(mask: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """Return a mask [B, L], 1 for words, as a bias [B, 1, L] that is added to attention scores; others as they are."""
    if mask is None or mask.ndim != 2:
        return mask
    return ((1 - mask.to(dtype)) * -10000.0)[:, None]
