"""The blocks of STDiT3: self-attention within a frame or along time, cross-attention to text, feed-forward."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from smoothbench.models.opensora.embeddings import Mlp, rotate

EPS = 1e-6


class SelfAttention(nn.Module):
    """Self-attention within each frame or, with `temporal`, along time at each position, with rotary angles.

    Tokens and output are [B, T * S, width]. With `qk_norm` queries and keys are normalised head by head.
    """

    def __init__(self, width: int, heads: int, qk_norm: bool, temporal: bool) -> None:
        super().__init__()
        self.heads, self.temporal = heads, temporal
        self.qkv = nn.Linear(width, 3 * width)
        self.q_norm = nn.RMSNorm(width // heads, EPS) if qk_norm else nn.Identity()
        self.k_norm = nn.RMSNorm(width // heads, EPS) if qk_norm else nn.Identity()
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, frames: int, rotation: tuple[Tensor, Tensor]) -> Tensor:
        rows, tokens = len(x), x.unflatten(1, (frames, -1))
        if self.temporal:
            out = self._attend(tokens.transpose(1, 2).flatten(0, 1), rotation)
            return out.unflatten(0, (rows, -1)).transpose(1, 2).flatten(1, 2)
        return self._attend(tokens.flatten(0, 1), None).unflatten(0, (rows, -1)).flatten(1, 2)

    def _attend(self, x: Tensor, rotation: tuple[Tensor, Tensor] | None) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        q, k = self.q_norm(q), self.k_norm(k)
        if rotation is not None:
            q, k = rotate(q, rotation), rotate(k, rotation)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class CrossAttention(nn.Module):
    """Attention of all tokens to the caption; `mask`, bool [B, 1, 1, L], is true for words."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_linear = nn.Linear(width, width)
        self.kv_linear = nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, text: Tensor, mask: Tensor | None) -> Tensor:
        q = self.q_linear(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = self.kv_linear(text).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v, mask).transpose(1, 2).flatten(2))


class Modulated(nn.Module):
    """LayerNorm without weights of its own, then scale and shift [B, 1, width]."""

    def forward(self, x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
        return torch.addcmul(shift, F.layer_norm(x, x.shape[-1:], eps=EPS), 1 + scale)


class Block(nn.Module):
    """Three residual branches, of which cross-attention has neither norm nor gate."""

    def __init__(self, width: int, heads: int, mlp_ratio: float, qk_norm: bool, temporal: bool) -> None:
        super().__init__()
        self.scale_shift_table = nn.Parameter(torch.randn(6, width) / width**0.5)
        self.norm1 = Modulated()
        self.attn = SelfAttention(width, heads, qk_norm, temporal)
        self.cross_attn = CrossAttention(width, heads)
        self.norm2 = Modulated()
        self.mlp = Mlp(width, int(width * mlp_ratio), width)

    def forward(
        self,
        x: Tensor,
        time: Tensor,
        frames: int,
        rotation: tuple[Tensor, Tensor],
        text: Tensor,
        mask: Tensor | None,
    ) -> Tensor:
        shift1, scale1, gate1, shift2, scale2, gate2 = (self.scale_shift_table + time).chunk(6, 1)
        x = torch.addcmul(x, gate1, self.attn(self.norm1(x, shift1, scale1), frames, rotation))
        x = x + self.cross_attn(x, text, mask)
        return torch.addcmul(x, gate2, self.mlp(self.norm2(x, shift2, scale2)))


class FinalLayer(nn.Module):
    """Tokens to patches, modulated by the time [B, width] itself."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.scale_shift_table = nn.Parameter(torch.randn(2, width) / width**0.5)
        self.norm = Modulated()
        self.linear = nn.Linear(width, out)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        shift, scale = (self.scale_shift_table + time[:, None]).chunk(2, 1)
        return self.linear(self.norm(x, shift, scale))
