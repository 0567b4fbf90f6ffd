"""The embedded text-to-video model: Open-Sora's transformer and rectified flow at nano scale."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from smoothbench.media.codecs import Webp
from smoothbench.models.base.prompts import Prompts
from smoothbench.models.nano.captioned_model import CaptionedModel, denoiser_files
from smoothbench.models.nano.files import restore
from smoothbench.models.nano.video.autoencoder import CHANNELS, LATENT, Decoder
from smoothbench.models.nano.video.corpus import FPS, FRAMES, SIZE
from smoothbench.models.nano.video.denoiser import CONFIG, placed
from smoothbench.models.nano.video.files import embedded
from smoothbench.models.nano.video.text import TOKENS, VOCABULARY, empty_text_encoder
from smoothbench.models.opensora.architecture import check_arguments
from smoothbench.models.opensora.base import TextToVideo


class OpenSoraNano(CaptionedModel, TextToVideo):
    """Makes clips of 12 frames of 32 x 32 pixels, 8 a second, from captions of a closed grammar.

    `path` is a folder with `denoiser/` (config.json, model.safetensors), `text.safetensors` and
    `autoencoder/decoder.safetensors`; a relative one is looked up beside the embedded weights. `shift` is
    what `solvers.rflow` takes by default. Raises ValueError, naming file, setting or caption, for weights
    that are missing, damaged or of another model, a shift out of range, no prompts, and prompts outside the
    grammar.
    """

    kind = "opensora_nano"
    version = 1

    def __init__(
        self,
        name: str,
        path: str,
        prompts: Prompts,
        guidance: float,
        shift: float,
        device: torch.device,
    ) -> None:
        self.media = Webp(FPS)
        folder = embedded(path)
        files = denoiser_files(folder / "denoiser")
        config = _checked(files.config(), files.folder)
        shared: dict[str, Any] = {"name": name, "guidance": guidance, "device": device, "config": config}
        shape = (CHANNELS, FRAMES, LATENT, LATENT)
        super().__init__(prompts, TOKENS, FPS, SIZE, SIZE, shift, shape=shape, **shared)
        self.load_denoiser(files, VOCABULARY)
        parts = {
            "text": folder / "text.safetensors",
            "decoder": folder / "autoencoder" / "decoder.safetensors",
        }
        self._text = restore(empty_text_encoder(), parts["text"])
        self._decoder = restore(Decoder(), parts["decoder"])
        self.identity = self.embedded_identity(files, parts)

    def embed_prompts(self) -> tuple[Tensor, Tensor]:
        """Encode words [P + 1, 1, 8, 64], and where there are words, bool [P + 1, 8]; the null caption comes last."""
        null: Any = self.denoiser.get_submodule("y_embedder").y_embedding
        states = torch.cat([self._text(words[None]) for words in self.words]).to(self.device)
        mask = torch.cat([self.words > 0, torch.ones(1, TOKENS, dtype=torch.bool)])
        return torch.cat([states, null[None].to(states)])[:, None], mask

    def _run(self, denoiser: nn.Module, x: Tensor, t: float, captions: Tensor, mask: Tensor) -> Tensor:
        """Run the denoiser once, with a channel more that holds each frame's place in the clip."""
        return super()._run(denoiser, placed(x), t, captions, mask)

    def decode(self, x: Tensor) -> Tensor:
        """Decode latents to clips uint8 [B, 12, 3, 32, 32]."""
        return self._decoder.clips(x.to("cpu"))


def _checked(config: dict[str, Any], folder: Path | None) -> dict[str, Any]:
    """The denoiser's arguments, if it takes and gives what the autoencoder and the text encoder have."""
    for name in ("in_channels", "caption_channels", "model_max_length", "patch_size"):
        if config.get(name) != CONFIG[name]:
            raise ValueError(f"{folder}/config.json: {name} must be {CONFIG[name]}, not {config.get(name)}")
    check_arguments(config, f"{folder}/config.json")
    return config
