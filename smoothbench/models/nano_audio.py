"""The embedded text-to-audio model: Stable Audio's transformer and conditioning at nano scale."""

from functools import cached_property
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from smoothbench.models.media import Flac
from smoothbench.models.nano.audio.codec import Decoder
from smoothbench.models.nano.audio.conditioner import LONGEST, TOKENS, Conditioner, tokenize
from smoothbench.models.nano.audio.files import embedded
from smoothbench.models.nano.audio.spectrogram import RATE, SAMPLES
from smoothbench.models.nano.files import digest, restore
from smoothbench.models.prompts import Prompts
from smoothbench.models.tensors import fill, lasting, read_state
from smoothbench.models.text_to_audio import TextToAudio
from smoothbench.models.weights import Files, find

SHORTEST: Final = 1.0  # seconds, of the training clips


class StableAudioNano(TextToAudio):
    """Captions of a closed grammar to clips of 2.048 s, 16 kHz, mono, that sound until `seconds`.

    `path` is a folder with `denoiser/` (diffusers' layout), `conditioner.safetensors` and
    `codec/decoder.safetensors`; a relative one is looked up beside the embedded weights. Raises
    ValueError, naming file, setting or caption, for weights that are missing, damaged or of another
    model, seconds outside 1 to 2, no prompts, and prompts outside the grammar.
    """

    # The CPU's kernels round a batch of one otherwise, by 1e-5: finding phases makes another waveform of that.
    least_batch = 2

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
        files = _files(folder / "denoiser")
        more: dict[str, Any] = {"name": name, "guidance": guidance, "device": device}
        super().__init__(prompts, TOKENS + 2, files.config(), **more)
        if not prompts.texts:
            raise ValueError("model.prompts is an empty list: set model.prompts.list, or its file")
        self._words = tokenize(prompts.texts)
        self.denoiser = self.empty()
        fill(self.denoiser, read_state(files), files.weights)
        self.denoiser.to(device)
        parts = [folder / "conditioner.safetensors", folder / "codec" / "decoder.safetensors"]
        self._conditioner, self._decoder = restore(Conditioner(), parts[0]), restore(Decoder(), parts[1])
        self.identity = {
            **self._identity(files.sha256()),
            "conditioner_sha256": digest(parts[0]),
            "decoder_sha256": digest(parts[1]),
            "prompts_sha256": prompts.digest(),
            "seconds": self.seconds,
        }

    def context(self, conditions: Tensor) -> tuple[Tensor, Tensor]:
        """Words and seconds, zero where nothing is asked for (-1); the seconds once more as the global state."""
        seen, overall = self._told
        rows = conditions.to(seen.device)
        return seen[rows], overall[rows]

    @cached_property
    @lasting
    def _told(self) -> tuple[Tensor, Tensor]:
        """The states of each prompt, encoded by itself, and at the end, so at -1, those of none."""
        seconds = torch.tensor([self.seconds])
        parts = [self._conditioner(words[None], seconds) for words in self._words]
        _, overall = self._conditioner(tokenize(["a"]), seconds)
        seen = torch.cat([*(part[0] for part in parts), torch.zeros_like(parts[0][0])])
        return seen.to(self.device), overall.expand(len(seen), -1, -1).to(self.device)

    def decode(self, x: Tensor) -> Tensor:
        """Clips int16 [B, 1, 32768]."""
        return self._decoder.audio(x.to("cpu"))


def _files(folder: Path) -> Files:
    if not folder.is_dir():
        raise ValueError(f"weights {folder}: no such folder; model.path must be one that holds denoiser/")
    files = find(str(folder), None, [""], "model.path")
    assert files is not None
    return files


def _checked(seconds: float) -> float:
    if not isinstance(seconds, int | float) or not SHORTEST <= seconds <= LONGEST:
        raise ValueError(f"model.seconds must be {SHORTEST} to {LONGEST}, not {seconds}")
    return float(seconds)
