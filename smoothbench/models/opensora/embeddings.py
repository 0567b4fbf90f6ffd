"""The input embeddings of STDiT3: patches, positions, times and frame rates, captions, and rotary angles."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from smoothbench.models.base.embeddings import sinusoid

FREQUENCIES = 256  # features of a time or a frame rate
THETA = 10_000.0  # the longest period of positions and rotary angles, over 2 pi


class Mlp(nn.Module):
    """Two linear layers with GELU's tanh form between them."""

    def __init__(self, width: int, inner: int, out: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, out)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


class PatchEmbed(nn.Module):
    """Turns patches of clips [B, C, T, H, W] into tokens [B, N, width], in the order T, H, W."""

    def __init__(self, patch: tuple[int, int, int], channels: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv3d(channels, width, patch, patch)

    def forward(self, x: Tensor) -> Tensor:
        # contiguous: every later pass, and matrix products, would pay for the transposed layout
        return self.proj(x).flatten(2).transpose(1, 2).contiguous()


class ScalarEmbed(nn.Module):
    """Embeds one number for each row [B] as features [B, width]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, values: Tensor) -> Tensor:
        return self.mlp(sinusoid(values, FREQUENCIES).to(next(self.parameters()).dtype))


class CaptionEmbed(nn.Module):
    """Projects captions [B, L, channels] to [B, L, width]; `y_embedding` [length, channels] is the null caption."""

    y_embedding: Tensor

    def __init__(self, channels: int, width: int, length: int) -> None:
        super().__init__()
        self.y_proj = Mlp(channels, width, width)
        self.register_buffer("y_embedding", torch.randn(length, channels) / channels**0.5)

    def forward(self, y: Tensor) -> Tensor:
        return self.y_proj(y)


class Rotary(nn.Module):
    """Computes the rotary cosines and sines float32 [T, head / 2] of each frame (Su et al. 2021, arXiv 2104.09864)."""

    def __init__(self, head: int) -> None:
        super().__init__()
        self.freqs = nn.Parameter(THETA ** (-torch.arange(0, head, 2).float() / head), requires_grad=False)

    def forward(self, frames: int) -> tuple[Tensor, Tensor]:
        angles = torch.arange(frames, device=self.freqs.device)[:, None] * self.freqs.float()
        return angles.cos(), angles.sin()


def rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Turn the pairs of neighbouring channels of x [..., T, head] by the angles of each frame."""
    cos, sin = rotation
    first, second = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([first * cos - second * sin, second * cos + first * sin], -1).flatten(-2).type_as(x)


def positions(
    rows: int,
    columns: int,
    width: int,
    scale: float,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Return sines and cosines of the column, then of the row, of each token, float32 [rows * columns, width].

    Coordinates are stretched to a square of the same area and divided by `scale`, the resolution over
    that of training, so that resolutions share them. Their frequencies are rounded to `dtype`.
    """
    base = round(math.sqrt(rows * columns))
    exact = THETA ** (-torch.arange(0, width // 2, 2, device=device).float() / (width // 2))
    frequencies = exact.to(dtype).float()

    def along(count: int) -> Tensor:
        places = torch.arange(count, device=device).float() / scale * (base / count)
        angles = places[:, None] * frequencies
        return torch.cat([angles.sin(), angles.cos()], -1)

    across = along(columns).expand(rows, -1, -1)
    down = along(rows)[:, None].expand(-1, columns, -1)
    return torch.cat([across, down], -1).flatten(0, 1)
