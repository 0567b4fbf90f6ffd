"""The embedded text-to-audio model: Stable Audio's transformer and conditioning at nano scale."""

from typing import Any, Final

import torch
from torch import Tensor

from smoothbench.media.codecs import Flac
from smoothbench.models.base.prompts import Prompts
from smoothbench.models.nano.audio.codec import Decoder
from smoothbench.models.nano.audio.conditioner import LONGEST, TOKENS, VOCABULARY, Conditioner
from smoothbench.models.nano.audio.files import embedded
from smoothbench.models.nano.audio.spectrogram import RATE, SAMPLES
from smoothbench.models.nano.captioned_model import CaptionedModel, denoiser_files
from smoothbench.models.nano.files import restore
from smoothbench.models.stable_audio.base import TextToAudio

SHORTEST: Final = 1.0  # seconds, of the training clips


class StableAudioNano(CaptionedModel, TextToAudio):
    """Makes clips of 2.048 s, 16 kHz, mono, that sound until `seconds`, from captions of a closed grammar.

    `path` is a folder with `denoiser/` (diffusers' layout), `conditioner.safetensors` and
    `codec/decoder.safetensors`; a relative one is looked up beside the embedded weights. Raises
    ValueError, naming file, setting or caption, for weights that are missing, damaged or of another
    model, seconds outside 1 to 2, no prompts, and prompts outside the grammar.
    """

    # The CPU's kernels round a batch of one otherwise, by 1e-5: finding phases makes another waveform of that.
    min_batch_size = 2

    clip_shape = (1, SAMPLES)
    kind = "stable_audio_nano"
    version = 1

    def __init__(
        self,
        name: str,
        path: str,
        prompts: Prompts,
        guidance: float,
        seconds: float,
        device: torch.device,
    ) -> None:
        self.media = Flac(RATE)
        self.seconds = _checked(seconds)
        folder = embedded(path)
        files = denoiser_files(folder / "denoiser")
        shared: dict[str, Any] = {"name": name, "guidance": guidance, "device": device}
        super().__init__(prompts, TOKENS + 2, files.config(), **shared)
        self.load_denoiser(files, VOCABULARY)
        parts = {
            "conditioner": folder / "conditioner.safetensors",
            "decoder": folder / "codec" / "decoder.safetensors",
        }
        self._conditioner = restore(Conditioner(), parts["conditioner"])
        self._decoder = restore(Decoder(), parts["decoder"])
        self.identity = {
            **self.embedded_identity(files, parts),
            "prompts_sha256": prompts.digest(),
            "seconds": self.seconds,
        }

    def embed_prompts(self) -> tuple[Tensor, Tensor]:
        """Encode words and seconds [P + 1, 18, 64], zero for no prompt, and the seconds alone [P + 1, 1, 128]."""
        seconds = torch.tensor([self.seconds])
        parts = [self._conditioner(words[None], seconds) for words in self.words]
        _, overall = self._conditioner(VOCABULARY.tokenize(["a"]), seconds)
        states = torch.cat([*(part[0] for part in parts), torch.zeros_like(parts[0][0])])
        return states, overall.expand(len(states), -1, -1)

    def decode(self, x: Tensor) -> Tensor:
        """Decode latents to clips int16 [B, 1, 32768], in samples of 16 kHz."""
        return self._decoder.audio(x.to("cpu"))


def _checked(seconds: float) -> float:
    if not isinstance(seconds, int | float) or not SHORTEST <= seconds <= LONGEST:
        raise ValueError(f"model.seconds must be {SHORTEST} to {LONGEST}, not {seconds}")
    return float(seconds)
