"""U-ViT on Stable Diffusion's latents, guided in two forwards (Bao et al. 2023, arXiv 2209.12152)."""

import inspect
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from smoothbench.models.base.guided import RANDOM_FOR_COST, are_random
from smoothbench.models.base.image_decoder import REPOSITORY, find_decoder
from smoothbench.models.base.latent import LatentModel
from smoothbench.models.dit.numerics import DIFFUSERS, pixels
from smoothbench.models.uvit.architecture import UViT
from smoothbench.models.weights.locate import Files, checkpoint, download
from smoothbench.models.weights.read import cast, fill, read_state
from smoothbench.protocols import AnnounceForward

SOURCE = "imagenet256_uvit_huge.pth, from Google Drive by the README of github.com/baofff/U-ViT"


class LatentUViT(LatentModel):
    """A U-ViT on latents, guided by cond + scale * (cond - uncond), each of the two in a forward of its own.

    In other models' terms its guidance is 1 + `scale`; a scale of 0 runs the conditional forward alone.
    Timesteps may be fractional. `path` is the checkpoint file of the original code; null: it is not here, which
    `unavailable_reason` says. `vae`: folder or repository of the decoder. Raises ValueError,
    naming file or setting, for files that do not fit; damage inside a file shows at the first
    use of `denoiser` or `decoder`.
    """

    kind = "latent_uvit"
    version = 1

    def __init__(
        self,
        name: str,
        path: str | None,
        architecture: dict[str, Any],
        device: torch.device,
        vae: str | None = None,
        weights: str = "published",
        scale: float = 0.4,
        dtype: str = "float32",
    ) -> None:
        random = are_random(weights)
        if type(scale) not in (int, float):
            raise ValueError(f"model.scale must be a number (0: no guidance), not {scale}")
        files, decoder, config = _checkpoint(path), find_decoder(vae, None, None), _architecture(architecture)
        super().__init__(
            files=None if random else files,
            decoder_files=decoder,
            unavailable_reason=RANDOM_FOR_COST if random else _unavailable_reason(name, vae, files, decoder),
            dtype=dtype,
            name=name,
            config=config,
            shape=(config["in_chans"], config["img_size"], config["img_size"]),
            classes=config["num_classes"] - 1,
            guidance=1 + scale,
            device=device,
        )
        self.scale, self.forwards = scale, self.guidance_rows

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Everything that decides the samples, for the ids of results; hashing the weights takes seconds, once."""
        return self._latent_identity()

    def empty(self) -> nn.Module:
        """Build the denoiser's architecture, whose weights are yet to be loaded."""
        return UViT(**self.config).eval().requires_grad_(False)

    def load(self, files: Files) -> nn.Module:
        """Load the denoiser on the device."""
        denoiser = self.allocated()
        fill(denoiser, read_state(files), files.weights)
        return denoiser

    def run(self, denoiser: nn.Module, x: Tensor, t: float, labels: Tensor) -> Tensor:
        """Run the denoiser once: the predicted noise [B, C, H, W]."""
        return denoiser(x, torch.full((len(x),), t, device=x.device), labels)

    def guide(self, cond: Tensor, uncond: Tensor) -> Tensor:
        """Guide: cond + scale * (cond - uncond)."""
        return cond + self.scale * (cond - uncond)

    def conditioning(self, labels_or_prompts: Tensor) -> Any:
        """Return the class labels of each forward on the device, int64 [B]: the conditional one's first."""
        labels = [labels_or_prompts, self.unconditional(len(labels_or_prompts))]
        return tuple(rows.to(self.device) for rows in labels[: self.forwards])

    def predict(self, x: Tensor, t: float, conditioning: Any, announce: AnnounceForward) -> Tensor:
        """Return the guided noise prediction, in float32; forward 0 is the conditional one, forward 1 the other."""
        announce(0)
        cond = self.noise(x, t, conditioning[0])
        if self.forwards == 1:
            return cond
        announce(1)
        return self.guide(cond, self.noise(x, t, conditioning[1]))

    def skeleton(self) -> tuple[nn.Module, Callable[[], Any]]:
        """Return the denoiser on the meta device, and a call that runs all forwards of an evaluation for one sample."""
        with torch.device("meta"):
            denoiser = cast(self.empty(), self.dtype)
            x, label = torch.empty(1, *self.sample_shape), torch.empty(1, dtype=torch.long)
        return denoiser, lambda: [self._rows(denoiser, x, 0.0, label) for _ in range(self.forwards)]

    def decode(self, x: Tensor) -> Tensor:
        """Decode latents to pixels uint8 [B, 3, H, W], rounded, as torchvision's save_image does for the original."""
        return pixels(self.decoder(x), DIFFUSERS)


def _checkpoint(path: str | None) -> Files | None:
    if path is not None and not Path(path).is_file():
        raise ValueError(f"model.path={path}: no such file; it must be the checkpoint {SOURCE}")
    return None if path is None else checkpoint(Path(path))


def _unavailable_reason(name: str, vae: str | None, files: Files | None, decoder: Files | None) -> str | None:
    """Say in one line which weights are not here and how to get them; None where all are."""
    if files is None:
        return f"weights of {name} are not here: get {SOURCE}, then model.path=FILE"
    if decoder is None:
        return download(f"the decoder of {name} is", vae or REPOSITORY, None, "model.vae")
    return None


def _architecture(arguments: dict[str, Any]) -> dict[str, Any]:
    """All arguments of `UViT`; ValueError, naming the setting, where no model can be made of them."""
    try:
        bound = inspect.signature(UViT).bind(**arguments)
    except TypeError as error:
        raise ValueError(f"model.architecture: {error}") from None
    bound.apply_defaults()
    with torch.device("meta"):
        UViT(**bound.arguments)
    return dict(bound.arguments)
