"""What the denoiser of `stable_audio_nano` is told: the caption's words, and when the sound ends."""

from collections.abc import Sequence
from typing import Final

import torch
from diffusers.pipelines.stable_audio.modeling_stable_audio import StableAudioProjectionModel
from torch import Tensor, nn

from smoothbench.models.nano.audio.grammar import INSTRUMENTS, PATTERNS, REGISTERS

WORDS: Final = sorted({"a", "plays", *" ".join((*INSTRUMENTS, *REGISTERS[:-1], *PATTERNS)).split()})
TOKENS: Final = 16
WIDTH: Final = 64
LONGEST: Final = 2.0  # seconds


def tokenize(captions: Sequence[str]) -> Tensor:
    """Numbers of the words, from 1, filled up with 0 [N, 16].

    Raises ValueError, naming the caption, for a word outside the grammar and for too many of them.
    """
    return torch.tensor([_numbers(caption) for caption in captions], dtype=torch.long).view(-1, TOKENS)


def _numbers(caption: str) -> list[int]:
    words = caption.lower().split()
    if unknown := [word for word in words if word not in WORDS]:
        raise ValueError(f"caption {caption!r}: {unknown[0]!r} is none of the words {', '.join(WORDS)}")
    if not 0 < len(words) <= TOKENS:
        raise ValueError(f"caption {caption!r}: must have 1 to {TOKENS} words, not {len(words)}")
    return [WORDS.index(word) + 1 for word in words] + [0] * (TOKENS - len(words))


class TextEncoder(nn.Module):
    """Words [N, 16] to states [N, 16, 64], zero where there is no word: two transformer layers."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(len(WORDS) + 1, WIDTH)
        self.places = nn.Parameter(torch.randn(TOKENS, WIDTH) * 0.02)
        layers = (
            nn.TransformerEncoderLayer(WIDTH, 4, 4 * WIDTH, 0.0, "gelu", batch_first=True, norm_first=True)
            for _ in range(2)
        )
        self.layers = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, tokens: Tensor) -> Tensor:
        missing = tokens == 0
        x = self.words(tokens) + self.places
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=missing)
        return self.norm(x).masked_fill(missing[..., None], 0.0)


class Conditioner(nn.Module):
    """Words [N, 16] and the seconds [N] at which the sound ends, to what a StableAudioDiTModel takes.

    Returns the states for cross-attention [N, 18, 64] (words, start, end) and the global ones
    [N, 1, 128] (start and end), as in Stable Audio (Evans et al. 2024, arXiv 2402.04825, section 3).
    """

    def __init__(self) -> None:
        super().__init__()
        self.text = TextEncoder()
        self.projection = StableAudioProjectionModel(WIDTH, WIDTH, 0.0, LONGEST)

    def forward(self, tokens: Tensor, seconds: Tensor) -> tuple[Tensor, Tensor]:
        told = self.projection(self.text(tokens), torch.zeros_like(seconds), seconds)
        start, end = told.seconds_start_hidden_states, told.seconds_end_hidden_states
        return torch.cat([told.text_hidden_states, start, end], 1), torch.cat([start, end], 2)
