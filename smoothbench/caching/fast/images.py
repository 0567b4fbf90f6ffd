"""Pictures to tokens and back, as diffusers' transformers do it."""

import sys
from typing import Any

import torch
from torch import Tensor, nn


def to_patches(pictures: Tensor, patch: int) -> Tensor:
    """Cut pictures [B, C, H, W] into patches [B, tokens, C * patch * patch], row by row."""
    rows, channels, height, width = pictures.shape
    cut = pictures.view(rows, channels, height // patch, patch, width // patch, patch)
    return cut.permute(0, 2, 4, 1, 3, 5).reshape(rows, -1, channels * patch * patch)


def from_patches(tokens: Tensor, patch: int, height: int, width: int) -> Tensor:
    """Put patches [B, height * width, patch * patch * C], channels last, together to pictures [B, C, H, W]."""
    rows = len(tokens)
    cut = tokens.view(rows, height, width, patch, patch, -1)
    return cut.permute(0, 5, 1, 3, 2, 4).reshape(rows, -1, height * patch, width * patch)


def flat_weight(convolution: nn.Conv2d) -> Tensor:
    """Return the weight of a convolution over patches as that of a linear layer on them."""
    return convolution.weight.flatten(1)


def fits_patches(embedding: Any, pictures: Any) -> bool:
    """Whether pictures are of the size that diffusers' patch embedding has positions for."""
    if not isinstance(pictures, Tensor) or pictures.ndim != 4 or not pictures.is_contiguous():
        return False
    patch = embedding.patch_size
    return tuple(pictures.shape[2:]) == (embedding.height * patch, embedding.width * patch)


def plain_embedding(embedding: Any) -> bool:
    """Whether diffusers' patch embedding is a convolution over patches and fixed positions, nothing else."""
    convolution, patch = embedding.proj, (embedding.patch_size, embedding.patch_size)
    over_patches = convolution.kernel_size == patch and convolution.stride == patch
    zero = convolution.padding == (0, 0) and convolution.dilation == (1, 1) and convolution.groups == 1
    return over_patches and zero and embedding.flatten and not embedding.layer_norm and not embedding.pos_embed_max_size


def output_of(denoiser: nn.Module, sample: Tensor, return_dict: bool) -> Any:
    """Return a sample as diffusers' transformers do: in a tuple, or in the class of output that their module names."""
    if not return_dict:
        return (sample,)
    return vars(sys.modules[type(denoiser).__module__])["Transformer2DModelOutput"](sample=sample)


def modulated(stream: Tensor, norm: nn.LayerNorm, shift: Tensor, scale: Tensor) -> Tensor:
    """Normalise the stream, multiply it by `scale` (1 is already added) and add `shift`, both [B, 1, width]."""
    normal = torch.layer_norm(stream, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
    return torch.addcmul(shift, normal, scale)
