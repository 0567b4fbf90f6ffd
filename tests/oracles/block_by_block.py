"""A small DiT, run block by block in float64, and the sampling run that oracles of caching methods share."""

from collections.abc import Callable, Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

EVALS = 12
TIMES = torch.linspace(999, 0, EVALS).long()
# of the forward with and of that without the condition
LABELS = (torch.tensor([0, 1]), torch.tensor([10, 10]))
Forward = Callable[[int, Tensor, Tensor, Tensor], Tensor]  # (evaluation, x, timestep, labels)


def sampled(forwards: Sequence[Forward], dtype: torch.dtype = torch.float64) -> Tensor:
    """Sample two latents; each evaluation takes one forward with the condition, and, if given, one without."""
    x = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(5)).to(dtype)
    with torch.inference_mode():
        for e, t in enumerate(TIMES):
            outputs = [f(e, x, t.expand(2), labels) for f, labels in zip(forwards, LABELS, strict=False)]
            x = x - 0.2 * torch.stack(outputs).mean(0)
    return x


def plain(denoiser: nn.Module) -> Forward:
    """The denoiser's own forward, for `sampled`."""
    return lambda e, x, t, labels: denoiser(x, timestep=t, class_labels=labels).sample


class BlockByBlock:
    """The parts of a DiT's forward in float64: `enter`, then blocks `first` up to `last`, then `leave`."""

    def __init__(self, denoiser: nn.Module) -> None:
        self.denoiser = deepcopy(denoiser).double()
        self.depth = len(self.denoiser.transformer_blocks)

    def enter(self, x: Tensor) -> Tensor:
        tokens: Tensor = self.denoiser.pos_embed(x)
        return tokens

    def blocks(self, first: int, last: int, h: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        for block in self.denoiser.transformer_blocks[first:last]:
            h = block(h, timestep=t, class_labels=labels)
        return h

    def leave(self, h: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        condition = self.denoiser.transformer_blocks[0].norm1.emb(t, labels, hidden_dtype=h.dtype)
        shift, scale = self.denoiser.proj_out_1(silu(condition)).chunk(2, dim=1)
        h = self.denoiser.proj_out_2(self.denoiser.norm_out(h) * (1 + scale[:, None]) + shift[:, None])
        side, patch = int(h.shape[1] ** 0.5), self.denoiser.patch_size
        image = h.reshape(len(h), side, side, patch, patch, -1).permute(0, 5, 1, 3, 2, 4)
        return image.reshape(len(h), -1, side * patch, side * patch)
