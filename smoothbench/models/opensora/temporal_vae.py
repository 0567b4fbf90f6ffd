"""Open-Sora 1.2's autoencoder in time: a quarter as many frames, as large (after MAGVIT-v2, arXiv 2310.05737)."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional


class CausalConv3d(nn.Module):
    """A convolution over [B, C, T, H, W] that sees no later frame: all padding in time stands in front."""

    def __init__(self, ins: int, outs: int, kernel: int, stride: int = 1, bias: bool = True) -> None:
        super().__init__()
        self._padding = (kernel // 2,) * 4 + (kernel - stride, 0)
        self.conv = nn.Conv3d(ins, outs, kernel, stride=(stride, 1, 1), bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve; ceil(T / stride) of T frames are left."""
        return self.conv(functional.pad(x, self._padding))


class ResBlock(nn.Module):
    """Two normalised convolutions, added to their input."""

    def __init__(self, ins: int, outs: int, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, ins)
        self.conv1 = CausalConv3d(ins, outs, 3, bias=False)
        self.norm2 = nn.GroupNorm(groups, outs)
        self.conv2 = CausalConv3d(outs, outs, 3, bias=False)
        if ins != outs:
            self.conv3 = CausalConv3d(ins, outs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, ins, T, H, W] to [B, outs, T, H, W]."""
        h = self.conv1(functional.silu(self.norm1(x)))
        h = self.conv2(functional.silu(self.norm2(h)))
        return h + (self.conv3(x) if hasattr(self, "conv3") else x)


class Stages(nn.Module):
    """The base class of encoder and decoder: residual blocks by stage, and those of the widest one.

    `widths` are the stages' channels, the full frame rate first; after stages whose `halved` is set there are
    half as many frames. In a decoder the stages run backwards.
    """

    def __init__(
        self, widths: Sequence[int], halved: Sequence[bool], depth: int, groups: int, backwards: bool
    ) -> None:
        super().__init__()
        self.halved = tuple(halved)
        before = [*widths[1:], widths[-1]] if backwards else [widths[0], *widths[:-1]]
        self.block_res_blocks = nn.ModuleList(
            _chain(ins, outs, depth, groups) for ins, outs in zip(before, widths, strict=True)
        )
        self.res_blocks = _chain(widths[-1], widths[-1], depth, groups)
        self.norm1 = nn.GroupNorm(groups, widths[0] if backwards else widths[-1])


class Encoder(Stages):
    """Encodes frames to the moments of their latents."""

    def __init__(
        self, ins: int, outs: int, widths: Sequence[int], halved: Sequence[bool], depth: int, groups: int
    ) -> None:
        super().__init__(widths, halved, depth, groups, backwards=False)
        self.conv_in = CausalConv3d(ins, widths[0], 3, bias=False)
        self.conv_blocks = nn.ModuleList(
            CausalConv3d(width, width, 3, stride=2) if half else nn.Identity()
            for width, half in zip(widths, halved, strict=False)
        )
        self.conv2 = CausalConv3d(widths[-1], outs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, ins, T, H, W] to [B, outs, T / 4, H, W]."""
        x = self.conv_in(x)
        for number, blocks in enumerate(self.block_res_blocks):
            x = _through(blocks, x)
            if number < len(self.conv_blocks):
                x = self.conv_blocks[number](x)
        x = _through(self.res_blocks, x)
        return self.conv2(functional.silu(self.norm1(x)))


class Decoder(Stages):
    """Decodes latents to frames."""

    def __init__(
        self, ins: int, outs: int, widths: Sequence[int], halved: Sequence[bool], depth: int, groups: int
    ) -> None:
        super().__init__(widths, halved, depth, groups, backwards=True)
        self.conv1 = CausalConv3d(ins, widths[-1], 3)
        self.conv_blocks = nn.ModuleList(
            CausalConv3d(width, 2 * width, 3) if half else nn.Identity()
            for width, half in zip(widths[1:], halved, strict=True)
        )
        self.conv_out = CausalConv3d(widths[0], outs, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, ins, T, H, W] to [B, outs, 4 T, H, W]."""
        x = _through(self.res_blocks, self.conv1(x))
        for number in reversed(range(len(self.block_res_blocks))):
            x = _through(self.block_res_blocks[number], x)
            if number and self.halved[number - 1]:
                x = self.conv_blocks[number - 1](x)
                x = x.unflatten(1, (-1, 2)).permute(0, 1, 3, 2, 4, 5).flatten(2, 3)
        return self.conv_out(functional.silu(self.norm1(x)))


class TemporalVae(nn.Module):
    """The temporal autoencoder; its defaults are the published ones.

    Frames are padded in front with zeros to a multiple of 4, which decoding cuts off again. The names of its
    tensors are those of the published file (hpcai-tech/OpenSora-VAE-v1.2, `temporal_vae.`).
    """

    def __init__(
        self,
        in_out_channels: int = 4,
        latent_embed_dim: int = 4,
        embed_dim: int = 4,
        filters: int = 128,
        num_res_blocks: int = 4,
        channel_multipliers: Sequence[int] = (1, 2, 2, 4),
        temporal_downsample: Sequence[bool] = (False, True, True),
        num_groups: int = 32,
    ) -> None:
        super().__init__()
        self.factor = 2 ** sum(temporal_downsample)
        widths = [filters * each for each in channel_multipliers]
        shape = (widths, temporal_downsample, num_res_blocks, num_groups)
        self.encoder = Encoder(in_out_channels, 2 * latent_embed_dim, *shape)
        self.quant_conv = CausalConv3d(2 * latent_embed_dim, 2 * embed_dim, 1)
        self.post_quant_conv = CausalConv3d(embed_dim, latent_embed_dim, 1)
        self.decoder = Decoder(latent_embed_dim, in_out_channels, *shape)

    def encode(self, x: Tensor) -> Tensor:
        """Encode frames [B, C, T, H, W] to the means of their latents [B, C, ceil(T / 4), H, W]."""
        x = functional.pad(x, (0, 0, 0, 0, -x.shape[2] % self.factor, 0))
        return self.quant_conv(self.encoder(x)).chunk(2, 1)[0]

    def decode(self, z: Tensor, frames: int) -> Tensor:
        """Decode latents [B, C, ceil(frames / 4), H, W] to so many frames [B, C, frames, H, W]."""
        return self.decoder(self.post_quant_conv(z))[:, :, -frames % self.factor :]


def _chain(ins: int, outs: int, depth: int, groups: int) -> nn.ModuleList:
    return nn.ModuleList(ResBlock(outs if number else ins, outs, groups) for number in range(depth))


def _through(blocks: nn.Module, x: Tensor) -> Tensor:
    assert isinstance(blocks, nn.ModuleList)
    for block in blocks:
        x = block(x)
    return x
