"""Contrastive towers for captions and clips: what CLAP (Wu et al. 2023) is to audio, at nano scale."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from smoothbench.models.nano.audio.conditioner import VOCABULARY, WIDTH, empty_text_encoder
from smoothbench.models.nano.audio.files import embedded
from smoothbench.models.nano.audio.spectrogram import log_mel
from smoothbench.models.nano.audio.tagger import FEATURES, Trunk, checked_clips
from smoothbench.models.nano.files import MetricNetwork, restore_network


class ContrastiveTowers(MetricNetwork):
    """Embeds captions and clips in one space of 64 dimensions, where a clip is near its caption.

    forward(int16 [N, 1, 32768]) gives a dict with `embedding` float [N, 64] of unit length. Raises
    ValueError for clips of another type or shape.
    """

    num_features = WIDTH
    name = "nano_clap"
    version = 1
    digested = ("weights",)

    def __init__(self) -> None:
        super().__init__()
        self.words, self.trunk = empty_text_encoder(), Trunk()
        self.from_words, self.from_audio = nn.Linear(WIDTH, WIDTH), nn.Linear(FEATURES, WIDTH)
        self.sharpness = nn.Parameter(torch.tensor(2.0))  # log of the inverse temperature

    def of_words(self, tokens: Tensor) -> Tensor:
        """Embed words [N, 16] as unit vectors [N, 64] of their mean state."""
        mean = self.words(tokens).sum(1) / (tokens > 0).sum(1, keepdim=True)
        return nn.functional.normalize(self.from_words(mean), dim=1)

    def of_mel(self, mel: Tensor) -> Tensor:
        """Embed log-mel spectrograms [N, 80, 128] as unit vectors [N, 64] of their windows' mean."""
        return nn.functional.normalize(self.from_audio(self.trunk(mel).mean(1)), dim=1)

    def of_captions(self, captions: Sequence[str]) -> Tensor:
        """Embed captions as unit vectors [N, 64]; ValueError for a caption outside the grammar."""
        return self.of_words(VOCABULARY.tokenize(captions))

    def forward(self, clips: Tensor) -> dict[str, Tensor]:
        return {"embedding": self.of_mel(log_mel(checked_clips(clips)))}


def load_clap(weights: str | Path) -> ContrastiveTowers:
    """Load the trained towers, frozen, from a safetensors file of this folder or an absolute path.

    Their `digest` is the sha256 of the file. Raises ValueError, naming the file, for bad weights.
    """
    return restore_network(ContrastiveTowers(), embedded(weights))
