"""STDiT3, the transformer of Open-Sora 1.2 (hpcaitech/Open-Sora, report 03): exact, in plain torch.

Modules are named after the published checkpoint's keys.
"""

import math
import re
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from smoothbench.caching import Site
from smoothbench.models.opensora.blocks import Block, FinalLayer
from smoothbench.models.opensora.embeddings import CaptionEmbed, PatchEmbed, Rotary, ScalarEmbed, positions
from smoothbench.models.opensora.parts import STDiT3Architecture

BRANCHES = (("attn", "self_attn", "norm1"), ("cross_attn", "cross_attn", None), ("mlp", "ff", "norm2"))
NOTHING = re.compile(
    r"fps_embedder\.mlp\.2|final_layer\.linear|temporal_blocks\.\d+\.(attn\.proj|cross_attn\.proj|mlp\.fc2)"
)


class STDiT3(nn.Module):
    """STDiT3 predicts the velocity of a noisy clip, given time, caption, frame rate and size.

    Parameters are those of the published config.json; with `pred_sigma` it gives twice the channels,
    of which the sampler uses the first half. Raises ValueError for sizes that do not divide.
    """

    def __init__(
        self,
        in_channels: int = 4,
        hidden_size: int = 1152,
        depth: int = 28,
        num_heads: int = 16,
        mlp_ratio: float = 4.0,
        patch_size: Sequence[int] = (1, 2, 2),
        caption_channels: int = 4096,
        model_max_length: int = 300,
        input_sq_size: int = 512,
        qk_norm: bool = True,
        pred_sigma: bool = True,
    ) -> None:
        super().__init__()
        _check(hidden_size, num_heads, patch_size)
        time, rows, columns = patch_size
        self.patch_size = (time, rows, columns)
        self.in_channels, self.input_sq_size = in_channels, input_sq_size
        self.out_channels = in_channels * (2 if pred_sigma else 1)
        self.position_dtype = torch.float32  # what the frequencies of positions are rounded to
        self.rope = Rotary(hidden_size // num_heads)
        self.x_embedder = PatchEmbed(self.patch_size, in_channels, hidden_size)
        self.t_embedder = ScalarEmbed(hidden_size)
        self.fps_embedder = ScalarEmbed(hidden_size)
        self.t_block = nn.Sequential(nn.SiLU(), nn.Linear(hidden_size, 6 * hidden_size))
        self.y_embedder = CaptionEmbed(caption_channels, hidden_size, model_max_length)

        def blocks(temporal: bool) -> nn.ModuleList:
            sizes = (hidden_size, num_heads, mlp_ratio, qk_norm, temporal)
            return nn.ModuleList(Block(*sizes) for _ in range(depth))

        self.spatial_blocks = blocks(temporal=False)
        self.temporal_blocks = blocks(temporal=True)
        self.final_layer = FinalLayer(hidden_size, math.prod(self.patch_size) * self.out_channels)

    def forward(
        self,
        x: Tensor,
        timestep: Tensor,
        y: Tensor,
        mask: Tensor | None,
        fps: Tensor,
        height: float,
        width: float,
    ) -> Tensor:
        """Predict the velocity float32 [B, out_channels, T, H, W] of a clip x [B, in_channels, T, H, W].

        `timestep` [B] in (0, 1000], captions `y` [B, 1, L, caption_channels], `fps` [B], `height` and
        `width` in pixels. `mask` [b, l], true for words, is repeated over the guidance rows; captions are
        cut to its l columns once they are projected, as in the original.
        """
        size = x.shape[2:]
        x = self.padded(x)
        grid = self.grid(x)
        tokens = self.x_embedder(x)
        tokens = tokens + self.positions(grid, height, width, tokens)
        time = self.t_embedder(timestep) + self.fps_embedder(fps)
        modulation = self.t_block(time).unflatten(-1, (6, -1))
        text, keys = self.text(y, mask)
        rotation = self.rope(grid[0])
        for pair in zip(self.spatial_blocks, self.temporal_blocks, strict=True):
            for block in pair:
                tokens = block(tokens, modulation, grid[0], rotation, text, keys)
        return self.clip(self.final_layer(tokens, time), grid, size)

    def padded(self, x: Tensor) -> Tensor:
        """Pad clips [B, C, T, H, W] with zeros to whole patches."""
        sides = zip(x.shape[:1:-1], self.patch_size[::-1], strict=True)
        return F.pad(x, [n for side, patch in sides for n in (0, -side % patch)])

    def grid(self, x: Tensor) -> tuple[int, int, int]:
        """Return the numbers of patches along time, height and width of padded clips."""
        frames, rows, columns = (
            side // patch for side, patch in zip(x.shape[2:], self.patch_size, strict=True)
        )
        return frames, rows, columns

    def positions(self, grid: tuple[int, int, int], height: float, width: float, tokens: Tensor) -> Tensor:
        """Return the positions [T * S, width] of all tokens, in their dtype, for a size in pixels."""
        frames, rows, columns = grid
        scale = math.sqrt(height * width) / self.input_sq_size
        places = positions(rows, columns, tokens.shape[-1], scale, tokens.device, self.position_dtype)
        return places.to(tokens.dtype).repeat(frames, 1)

    def text(self, y: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Project captions [B, 1, L, channels]; return them and which of their tokens are words [B, 1, 1, l]."""
        text = self.y_embedder(y.squeeze(1))
        if mask is None:
            return text, None
        keys = mask.bool().repeat(len(y) // len(mask), 1)
        # contiguous: torch multiplies slices by bmm, which counters take for attention's
        return text[:, : keys.shape[1]].contiguous(), keys[:, None, None]

    def clip(self, patches: Tensor, grid: tuple[int, int, int], size: Sequence[int]) -> Tensor:
        """Put patches [B, T * S, p * p * p * C] together to clips float32 [B, C, T, H, W] of this size."""
        return self._clip(patches.unflatten(1, grid))[:, :, : size[0], : size[1], : size[2]].float()

    def _clip(self, patches: Tensor) -> Tensor:
        """Patches [B, T, H, W, p * p * p * C], channels last within a patch, as [B, C, T, H, W]."""
        parts = patches.unflatten(-1, (*self.patch_size, self.out_channels)).permute(0, 7, 1, 4, 2, 5, 3, 6)
        return parts.flatten(6, 7).flatten(4, 5).flatten(2, 3)

    def cache_parts(self) -> STDiT3Architecture:
        """Return what the engine needs to run this denoiser by a fast forward."""
        return STDiT3Architecture(self)

    def cache_sites(self) -> Iterator[Site]:
        """Yield the three branches of every block as sites, in order of execution: spatial, then temporal."""
        for i in range(len(self.spatial_blocks)):
            for dimension in ("spatial", "temporal"):
                block = f"{dimension}_blocks.{i}"
                for attribute, kind, norm in BRANCHES:
                    fed_by = norm and f"{block}.{norm}"
                    yield Site(f"{block}.{kind}", f"{dimension}_{kind}", f"{block}.{attribute}", fed_by)


@torch.no_grad()
def initialise(denoiser: STDiT3) -> None:
    """Draw weights to train from as the original does: temporal branches, frame rate and output start at zero.

    Draws from torch's own generator.
    """
    for name, module in denoiser.named_modules():
        if not isinstance(module, nn.Linear | nn.Conv3d):
            continue
        if NOTHING.fullmatch(name):
            nn.init.zeros_(module.weight)
        elif name.startswith("fps_embedder"):
            nn.init.normal_(module.weight, std=0.02)
        else:
            nn.init.xavier_uniform_(module.weight.flatten(1))
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _check(hidden_size: int, num_heads: int, patch_size: Sequence[int]) -> None:
    if len(patch_size) != 3:
        raise ValueError(f"patch_size must be three numbers (time, height, width), not {list(patch_size)}")
    if hidden_size % 4 or hidden_size % num_heads or (hidden_size // num_heads) % 2:
        raise ValueError(
            f"hidden_size={hidden_size} must be a multiple of 4 and of num_heads={num_heads}, in even heads"
        )
