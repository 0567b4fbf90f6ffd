"""U-ViT, class-conditional: all conditions are tokens, and long skips join early and late blocks.

Architecture: Bao et al. 2023, arXiv 2209.12152, sections 3 and 4; modules are named after the published
checkpoints' keys. No gate and no adaLN: time and class reach the blocks through attention alone.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from smoothbench.caching import Site
from smoothbench.models.base.embeddings import sinusoid
from smoothbench.models.uvit.parts import UViTArchitecture

EXTRAS = 2  # tokens before the patches: the class, then the time


class Attention(nn.Module):
    """Self-attention whose queries, keys and values have no bias."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Two linear layers with the exact GELU between them."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """A block of two residual branches; with `skip` the stream is first joined with an earlier block's output."""

    def __init__(self, width: int, heads: int, mlp_ratio: float, skip: bool = False) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = FeedForward(width, int(width * mlp_ratio))
        self.skip_linear = nn.Linear(2 * width, width) if skip else None

    def forward(self, x: Tensor, earlier: Tensor | None = None) -> Tensor:
        if self.skip_linear is not None and earlier is not None:
            x = self.skip_linear(torch.cat([x, earlier], -1))
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    """Turns the patches of a picture into tokens, row by row."""

    def __init__(self, patch: int, channels: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, width, patch, patch)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x).flatten(2).transpose(1, 2)


class UViT(nn.Module):
    """U-ViT predicts the noise in a picture [B, in_chans, img_size, img_size].

    `num_classes` counts the null class, which is the last. `depth` is even and leaves out the middle
    block. Parameters are named as in the original's configuration files. Raises ValueError for sizes
    that do not divide.
    """

    def __init__(
        self,
        img_size: int = 32,
        patch_size: int = 2,
        in_chans: int = 4,
        embed_dim: int = 1152,
        depth: int = 28,
        num_heads: int = 16,
        mlp_ratio: float = 4.0,
        num_classes: int = 1001,
    ) -> None:
        super().__init__()
        _check(
            mlp_ratio,
            img_size=img_size,
            patch_size=patch_size,
            in_chans=in_chans,
            embed_dim=embed_dim,
            depth=depth,
            num_heads=num_heads,
            num_classes=num_classes,
        )
        self.patch_size, side = patch_size, img_size // patch_size
        self.patch_embed = PatchEmbed(patch_size, in_chans, embed_dim)
        self.label_emb = nn.Embedding(num_classes, embed_dim)
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, EXTRAS + side**2, embed_dim))

        def blocks(skip: bool) -> nn.ModuleList:
            return nn.ModuleList(Block(embed_dim, num_heads, mlp_ratio, skip) for _ in range(depth // 2))

        self.in_blocks = blocks(skip=False)
        self.mid_block = Block(embed_dim, num_heads, mlp_ratio)
        self.out_blocks = blocks(skip=True)
        self.norm = nn.LayerNorm(embed_dim)
        self.decoder_pred = nn.Linear(embed_dim, patch_size**2 * in_chans)

    def forward(self, x: Tensor, timestep: Tensor, class_labels: Tensor) -> Tensor:
        """Predict the noise [B, C, H, W]; `timestep` [B] may be fractional, `class_labels` are whole numbers [B]."""
        rows = x.shape[2] // self.patch_size
        patches = self.patch_embed(x)
        time = sinusoid(timestep, patches.shape[-1]).to(patches.dtype)
        x = torch.cat([self.label_emb(class_labels)[:, None], time[:, None], patches], 1) + self.pos_embed
        skips = []
        for block in self.in_blocks:
            x = block(x)
            skips.append(x)
        x = self.mid_block(x)
        for block in self.out_blocks:
            x = block(x, skips.pop())
        return self.picture(self.decoder_pred(self.norm(x))[:, EXTRAS:], rows)

    def picture(self, tokens: Tensor, rows: int) -> Tensor:
        """Put tokens [B, rows * columns, p * p * C], channels last within a patch, together as [B, C, H, W]."""
        tokens = tokens.unflatten(1, (rows, -1)).unflatten(3, (self.patch_size, self.patch_size, -1))
        return tokens.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)

    def cache_parts(self) -> UViTArchitecture:
        """Return what the engine needs to run this denoiser by a fast forward."""
        return UViTArchitecture(self)

    def cache_sites(self) -> Iterator[Site]:
        """Yield both branches of every block as sites, in order of execution; the layers of the skips are none."""
        paths = [name for name, module in self.named_modules() if isinstance(module, Block)]
        for number, path in enumerate(paths):
            yield Site(f"blocks.{number}.self_attn", "self_attn", f"{path}.attn", f"{path}.norm1")
            yield Site(f"blocks.{number}.ff", "ff", f"{path}.mlp", f"{path}.norm2")


def _check(mlp_ratio: float, **sizes: int) -> None:
    for what, value in sizes.items():
        if type(value) is not int or value < 1:
            raise ValueError(f"model.architecture.{what} must be a whole number from 1, not {value!r:.60}")
    if type(mlp_ratio) not in (int, float) or not 0 < mlp_ratio < math.inf:
        raise ValueError(f"model.architecture.mlp_ratio must be a number above 0, not {mlp_ratio!r:.60}")
    heads, patch = sizes["num_heads"], sizes["patch_size"]
    for what, by in (("img_size", patch), ("embed_dim", heads), ("embed_dim", 2), ("depth", 2)):
        if sizes[what] % by:
            raise ValueError(f"model.architecture.{what}={sizes[what]} must be a multiple of {by}")
