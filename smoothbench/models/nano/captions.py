"""Captions of a closed grammar: their words as numbers, and the small transformer that encodes them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Vocabulary:
    """The words that captions are made of, and how many of them a caption may have."""

    words: tuple[str, ...]
    tokens: int

    def tokenize(self, captions: Sequence[str]) -> Tensor:
        """Number the words of captions from 1 and pad with 0, int64 [N, tokens].

        Raises ValueError, naming the caption, for a word outside the vocabulary, for no word and for too many.
        """
        numbers = [self._numbers(caption) for caption in captions]
        return torch.tensor(numbers, dtype=torch.long).view(-1, self.tokens)

    def _numbers(self, caption: str) -> list[int]:
        words = caption.lower().split()
        if unknown := [word for word in words if word not in self.words]:
            raise ValueError(
                f"caption {caption!r}: {unknown[0]!r} is none of the words {', '.join(self.words)}"
            )
        if not 0 < len(words) <= self.tokens:
            raise ValueError(f"caption {caption!r}: must have 1 to {self.tokens} words, not {len(words)}")
        return [self.words.index(word) + 1 for word in words] + [0] * (self.tokens - len(words))


class CaptionEncoder(nn.Module):
    """Two transformer layers that encode the words of captions.

    forward(int64 [N, tokens], as `Vocabulary.tokenize` numbers them) gives states [N, tokens, width], zero where
    there is no word. `position_std` is the standard deviation that position embeddings start with.
    """

    def __init__(self, vocabulary: Vocabulary, width: int, feed_forward: int, position_std: float) -> None:
        super().__init__()
        self.words = nn.Embedding(len(vocabulary.words) + 1, width)
        self.places = nn.Parameter(torch.randn(vocabulary.tokens, width) * position_std)
        layers = (
            nn.TransformerEncoderLayer(width, 4, feed_forward, 0.0, "gelu", batch_first=True, norm_first=True)
            for _ in range(2)
        )
        self.layers = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        padding = tokens == 0
        x = self.words(tokens) + self.places
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=padding)
        return self.norm(x).masked_fill(padding[..., None], 0.0)
