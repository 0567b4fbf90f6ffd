"""The base class of class-conditional models that denoise Stable Diffusion's latents."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from smoothbench.models.base.class_conditional import ClassConditional
from smoothbench.models.base.guided import Lazy, sha256
from smoothbench.models.base.image_decoder import Decoder, check_decoder
from smoothbench.models.weights.locate import Files


class LatentModel(Lazy, ClassConditional):
    """A class-conditional model of latents, with the decoder that makes images of them.

    `decoder_files`, like `files`, are None where they are not here. Raises ValueError, naming the file or
    the setting, for a decoder that does not fit and for an unknown dtype.
    """

    def __init__(
        self,
        files: Files | None,
        decoder_files: Files | None,
        unavailable_reason: str | None,
        dtype: str,
        **more: Any,
    ) -> None:
        super().__init__(files=files, unavailable_reason=unavailable_reason, dtype=dtype, **more)
        self.decoder_files = decoder_files
        channels = self.sample_shape[0]
        self._scale = check_decoder(decoder_files, channels) if decoder_files else None

    @cached_property
    def decoder(self) -> Decoder:
        """The image decoder on the device, loaded at first use; without weights files it has random weights."""
        return Decoder(self.decoder_files, self.sample_shape[0], self.device)

    def labels_or_prompts(self, seeds: Sequence[int]) -> Tensor:
        """Draw each sample's class label from its own generator, after its initial noise, int64 [N]."""
        return torch.tensor([self._label(seed) for seed in seeds], dtype=torch.long)

    def _label(self, seed: int) -> int:
        generator = torch.Generator().manual_seed(seed)
        torch.randn(self.sample_shape, generator=generator)
        return int(torch.randint(self.classes, (), generator=generator))

    def _latent_identity(self) -> dict[str, Any]:
        return {
            **self._identity(sha256(self.files)),
            "vae_sha256": sha256(self.decoder_files),
            "vae_scaling_factor": self._scale,
        }
