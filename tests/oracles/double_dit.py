"""A small diffusers DiT in float64, taken apart by hand: embedding, blocks and head, with no code of ours."""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass
class DoubleDiT:
    """The denoiser's parts, and the trajectory of `TinyDiT.run()`: x falls by a fifth of each output."""

    denoiser: Any
    evals: int = 12
    rows: int = 2

    def __post_init__(self) -> None:
        self.net: Any = copy.deepcopy(self.denoiser).double()
        self.blocks: nn.ModuleList = self.net.transformer_blocks
        self.labels = torch.cat([torch.arange(self.rows) % 10, torch.full((self.rows,), 10)])
        self.timesteps = torch.linspace(999, 0, self.evals).long()

    def noise(self) -> Tensor:
        generator = torch.Generator().manual_seed(5)
        return torch.randn(self.rows, 1, 8, 8, generator=generator).repeat(2, 1, 1, 1).double()

    def time(self, e: int) -> Tensor:
        return self.timesteps[e].expand(2 * self.rows)

    def stream(self, x: Tensor) -> Tensor:
        """What the first block gets."""
        embedded: Tensor = self.net.pos_embed(x)
        return embedded

    def modulated(self, e: int, stream: Tensor) -> Tensor:
        """The first block's normalised and modulated input."""
        normed: Tensor = self.blocks[0].norm1(stream, self.time(e), self.labels, hidden_dtype=stream.dtype)[0]
        return normed

    def after_block(self, k: int, e: int, stream: Tensor) -> Tensor:
        after: Tensor = self.blocks[k](stream, timestep=self.time(e), class_labels=self.labels)
        return after

    def head(self, e: int, stream: Tensor) -> Tensor:
        condition = self.blocks[0].norm1.emb(self.time(e), self.labels, hidden_dtype=stream.dtype)
        shift, scale = self.net.proj_out_1(F.silu(condition)).chunk(2, dim=1)
        patches = self.net.proj_out_2(self.net.norm_out(stream) * (1 + scale[:, None]) + shift[:, None])
        return torch.einsum("nhwpqc->nchpwq", patches.unflatten(1, (4, 4)).unflatten(3, (2, 2, 1))).reshape(
            -1, 1, 8, 8
        )

    def output(self, e: int, x: Tensor) -> Tensor:
        stream = self.stream(x)
        for k in range(len(self.blocks)):
            stream = self.after_block(k, e, stream)
        return self.head(e, stream)
