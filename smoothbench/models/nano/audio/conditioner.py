"""The conditioning of `stable_audio_nano`'s denoiser: the caption's words, and when the sound ends."""

from typing import Final

import torch
from diffusers.pipelines.stable_audio.modeling_stable_audio import StableAudioProjectionModel
from torch import Tensor, nn

from smoothbench.models.nano.audio.grammar import INSTRUMENTS, PATTERNS, REGISTERS
from smoothbench.models.nano.captions import CaptionEncoder, Vocabulary

TOKENS: Final = 16
WIDTH: Final = 64
LONGEST: Final = 2.0  # seconds
VOCABULARY: Final = Vocabulary(
    tuple(sorted({"a", "plays", *" ".join((*INSTRUMENTS, *REGISTERS[:-1], *PATTERNS)).split()})), TOKENS
)


def empty_text_encoder() -> CaptionEncoder:
    """Build the text encoder, words [N, 16] to states [N, 16, 64], with weights drawn from torch's current seed."""
    return CaptionEncoder(VOCABULARY, WIDTH, feed_forward=4 * WIDTH, position_std=0.02)


class Conditioner(nn.Module):
    """Encodes words [N, 16] and the seconds [N] at which the sound ends into what a StableAudioDiTModel takes.

    Returns the states for cross-attention [N, 18, 64] (words, start, end) and the global ones
    [N, 1, 128] (start and end), as in Stable Audio (Evans et al. 2024, arXiv 2402.04825, section 3).
    """

    def __init__(self) -> None:
        super().__init__()
        self.text = empty_text_encoder()
        self.projection = StableAudioProjectionModel(WIDTH, WIDTH, 0.0, LONGEST)

    def forward(self, tokens: Tensor, seconds: Tensor) -> tuple[Tensor, Tensor]:
        projected = self.projection(self.text(tokens), torch.zeros_like(seconds), seconds)
        start, end = projected.seconds_start_hidden_states, projected.seconds_end_hidden_states
        return torch.cat([projected.text_hidden_states, start, end], 1), torch.cat([start, end], 2)
