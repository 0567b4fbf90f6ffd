"""What the denoiser of `opensora_nano` is told: the caption's words, where Open-Sora has T5."""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn

from smoothbench.models.nano.video.grammar import scenes

WORDS: Final = sorted({word for scene in scenes() for word in scene.caption.split()})
TOKENS: Final = 8
WIDTH: Final = 64


def tokenize(captions: Sequence[str]) -> Tensor:
    """Numbers of the words, from 1, filled up with 0 [N, 8].

    Raises ValueError, naming the caption, for a word outside the grammar and for too many of them.
    """
    return torch.tensor([_numbers(caption) for caption in captions], dtype=torch.long).view(-1, TOKENS)


def _numbers(caption: str) -> list[int]:
    words = caption.lower().split()
    if not 0 < len(words) <= TOKENS:
        raise ValueError(f"caption {caption!r}: must have 1 to {TOKENS} words, not {len(words)}")
    for word in words:
        if word not in WORDS:
            raise ValueError(f"caption {caption!r}: {word!r} is none of the words {', '.join(WORDS)}")
    return [WORDS.index(word) + 1 for word in words] + [0] * (TOKENS - len(words))


class TextEncoder(nn.Module):
    """Words [N, 8] to states [N, 8, 64], zero where there is no word: two transformer layers."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(len(WORDS) + 1, WIDTH)
        self.places = nn.Parameter(torch.randn(TOKENS, WIDTH) * 0.1)
        layers = (
            nn.TransformerEncoderLayer(WIDTH, 4, 2 * WIDTH, 0.0, "gelu", batch_first=True, norm_first=True)
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
