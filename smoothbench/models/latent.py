"""What class-conditional models of Stable Diffusion's latents have in common."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

import torch
from torch import Tensor, nn

from smoothbench.models.class_conditional import ClassConditional
from smoothbench.models.decoder import Decoder, check_decoder
from smoothbench.models.tensors import cast, randomise
from smoothbench.models.weights import Files

DTYPES: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
RANDOM_FOR_COST = "model.weights=random: random weights are for stage=cost alone; samples need published"


class LatentModel(ClassConditional):
    """A denoiser of latents with a decoder; weights are loaded, and hashed, at their first use.

    `files` and `decoder_files` are None where they are not here: `missing` says so, and random
    weights of the same architecture stand in, for latencies. Raises ValueError, naming the file or
    the setting, for a decoder that does not fit and a dtype that there is not.
    """

    def __init__(
        self,
        files: Files | None,
        decoder_files: Files | None,
        missing: str | None,
        dtype: str,
        **more: Any,
    ) -> None:
        if dtype not in DTYPES:
            raise ValueError(f"model.dtype must be one of {', '.join(DTYPES)}, not {dtype}")
        super().__init__(dtype=DTYPES[dtype], **more)
        self.files, self.decoder_files, self.missing = files, decoder_files, missing
        channels = self.sample_shape[0]
        self._scale = check_decoder(decoder_files, channels) if decoder_files else None

    def load(self, files: Files) -> nn.Module:
        """The denoiser with its weights, on the device."""
        raise NotImplementedError

    def settle(self, denoiser: nn.Module) -> None:
        """Set what no tensor holds; called once, when the denoiser is there."""

    @cached_property
    def denoiser(self) -> nn.Module:
        """The denoiser on the device; with random weights where there are no others."""
        if self.files is None:
            denoiser = self.allocated()
            randomise(denoiser)
        else:
            denoiser = self.load(self.files)
        self.settle(denoiser)
        return denoiser

    def allocated(self) -> nn.Module:
        """The architecture with storage on the device, in the dtype, not initialised: that takes minutes."""
        with torch.device("meta"):
            denoiser = cast(self.empty(), self.dtype)
        return denoiser.to_empty(device=self.device)

    @cached_property
    def decoder(self) -> Decoder:
        """Latents to images, on the device; with random weights where there are no others."""
        return Decoder(self.decoder_files, self.sample_shape[0], self.device)

    def conditions(self, seeds: Sequence[int]) -> Tensor:
        """Each sample's class, from its own generator after its initial noise."""
        return torch.tensor([self._label(seed) for seed in seeds], dtype=torch.long)

    def _label(self, seed: int) -> int:
        generator = torch.Generator().manual_seed(seed)
        torch.randn(self.sample_shape, generator=generator)
        return int(torch.randint(self.classes, (), generator=generator))

    def _latent_identity(self) -> dict[str, Any]:
        return {
            **self._identity(self.files.sha256() if self.files else "random"),
            "vae_sha256": self.decoder_files.sha256() if self.decoder_files else "random",
            "vae_scaling_factor": self._scale,
        }
