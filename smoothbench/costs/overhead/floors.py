"""The least that an evaluation costs in which everything is reused, written by hand for three denoisers.

The floor is the embedding of the rows, one read of what is kept, the head, guidance and the solver's step. What depends
on time and condition alone is taken to be there already.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Part = Callable[[Tensor], Tensor]


class Ends(NamedTuple):
    """What surrounds the blocks of a denoiser: `embed` maps rows to tokens, `head` maps tokens to the output.

    `gated` is the number of outputs that must be kept apart, as a fresh gate meets each of them; without any,
    their sum is enough.
    """

    embed: Part
    head: Part
    gated: int


def ends_of(denoiser: nn.Module, rows: int) -> Ends | None:
    """Return the ends of a denoiser for so many rows; None for a class that no floor is written for."""
    write = {
        "DiTTransformer2DModel": _dit,
        "StableAudioDiTModel": _stable_audio,
        "STDiT3": _stdit3,
    }.get(type(denoiser).__name__)
    return None if write is None else write(denoiser, rows)


def _like(denoiser: Any, *shape: int) -> Tensor:
    weight = next(denoiser.parameters())
    return torch.randn(shape, device=weight.device, dtype=weight.dtype)


def _dit(dit: Any, rows: int) -> Ends:
    patch, out = dit.config.patch_size, dit.out_channels
    shift, scale = _like(dit, rows, 1, dit.inner_dim), _like(dit, rows, 1, dit.inner_dim)
    positions = dit.pos_embed.pos_embed.to(shift.dtype)

    def embed(x: Tensor) -> Tensor:
        return dit.pos_embed.proj(x).flatten(2).transpose(1, 2) + positions

    def head(tokens: Tensor) -> Tensor:
        normed = F.layer_norm(tokens, tokens.shape[-1:], eps=1e-6)
        patches = dit.proj_out_2(torch.addcmul(shift, normed, scale))
        side = math.isqrt(patches.shape[1])
        patches = patches.view(-1, side, side, patch, patch, out).permute(0, 5, 1, 3, 2, 4)
        return patches.reshape(-1, out, side * patch, side * patch)

    return Ends(embed, head, 2 * len(dit.transformer_blocks))


def _stable_audio(audio: Any, rows: int) -> Ends:
    overall = _like(audio, rows, 1, audio.inner_dim)

    def embed(x: Tensor) -> Tensor:
        tokens = audio.proj_in((audio.preprocess_conv(x) + x).transpose(1, 2))
        return torch.cat([overall, tokens], -2)

    def head(tokens: Tensor) -> Tensor:
        frames = audio.proj_out(tokens).transpose(1, 2)[:, :, 1:]
        result: Tensor = audio.postprocess_conv(frames) + frames
        return result

    return Ends(embed, head, 0)


def _stdit3(video: Any, rows: int) -> Ends:
    width = video.x_embedder.proj.out_channels
    shift, scale = _like(video, rows, 1, width), _like(video, rows, 1, width)
    grid: list[int] = []

    def embed(x: Tensor) -> Tensor:
        x = F.pad(x, (0, 0, 0, 0, 0, 0, 0, video.in_channels - x.shape[1]))  # a channel of each frame's place
        grid[:] = [size // patch for size, patch in zip(x.shape[2:], video.patch_size, strict=True)]
        tokens: Tensor = video.x_embedder(x)
        return tokens + shift  # the positions are one such tensor

    def head(tokens: Tensor) -> Tensor:
        normed = F.layer_norm(tokens, tokens.shape[-1:], eps=1e-6)
        patches = video.final_layer.linear(torch.addcmul(shift, normed, scale))
        clip: Tensor = video._clip(patches.unflatten(1, grid))
        return clip

    # the cross-attention has no gate
    return Ends(embed, head, 2 * (len(video.spatial_blocks) + len(video.temporal_blocks)))
