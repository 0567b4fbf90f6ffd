"""Pictures to tokens and back, as diffusers' transformers do it."""

import sys
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Patches:
    """Embeds pictures as diffusers' PatchEmbed does where it is a convolution over patches and fixed positions."""

    def __init__(self, embedding: Any) -> None:
        convolution = embedding.proj
        self._weight, self._bias = convolution.weight.flatten(1), convolution.bias
        self._positions: Tensor | None = embedding.pos_embed
        self.size: int = embedding.patch_size

    def __call__(self, pictures: Tensor) -> Tensor:
        """Embed pictures [B, C, H, W] as tokens [B, H * W / size^2, width]."""
        tokens = F.linear(to_patches(pictures, self.size), self._weight, self._bias)
        return tokens if self._positions is None else torch.add(tokens, self._positions).to(tokens.dtype)

    @property
    def ground(self) -> Tensor:
        """What is added to the product of patches and weights: bias and positions, [1, tokens, width]."""
        ground: Tensor = self._bias if self._positions is None else self._bias + self._positions
        return ground.to(self._weight.dtype)

    def onto(self, sums: Tensor, pictures: Tensor) -> Tensor:
        """Add the product of patches and weights to sums [B, tokens, width], which are changed."""
        patches = to_patches(pictures, self.size).flatten(0, 1)
        sums.view(-1, sums.shape[-1]).addmm_(patches, self._weight.t())
        return sums

    @staticmethod
    def know(embedding: Any) -> bool:
        """Return whether diffusers' patch embedding is one of these."""
        convolution, patch = embedding.proj, (embedding.patch_size, embedding.patch_size)
        over_patches = convolution.kernel_size == patch and convolution.stride == patch
        plain = convolution.padding == (0, 0) and convolution.dilation == (1, 1) and convolution.groups == 1
        only = embedding.flatten and not embedding.layer_norm and not embedding.pos_embed_max_size
        return over_patches and plain and only

    @staticmethod
    def take(embedding: Any, pictures: Any) -> bool:
        """Return whether pictures are of the size that the positions are for, in the dtype of the weights."""
        if (
            not isinstance(pictures, Tensor)
            or pictures.ndim != 4
            or pictures.dtype != embedding.proj.weight.dtype
        ):
            return False
        patch, size = embedding.patch_size, pictures.shape[2:]
        if embedding.pos_embed is None:
            return size[0] % patch == 0 and size[1] % patch == 0
        return size == (embedding.height * patch, embedding.width * patch)


def to_patches(pictures: Tensor, patch: int) -> Tensor:
    """Cut pictures [B, C, H, W] into patches [B, tokens, C * patch * patch], row by row."""
    rows, channels, height, width = pictures.shape
    cut = pictures.reshape(rows, channels, height // patch, patch, width // patch, patch)
    return cut.permute(0, 2, 4, 1, 3, 5).reshape(rows, -1, channels * patch * patch)


def from_patches(tokens: Tensor, patch: int, height: int, width: int) -> Tensor:
    """Put patches [B, height * width, patch * patch * C], channels last, together to pictures [B, C, H, W]."""
    rows = len(tokens)
    cut = tokens.view(rows, height, width, patch, patch, -1)
    return cut.permute(0, 5, 1, 3, 2, 4).reshape(rows, -1, height * patch, width * patch)


def output_of(denoiser: nn.Module, sample: Tensor, return_dict: bool) -> Any:
    """Return a sample as diffusers' transformers do: in a tuple, or in the class of output that their module names."""
    if not return_dict:
        return (sample,)
    return vars(sys.modules[type(denoiser).__module__])["Transformer2DModelOutput"](sample=sample)
