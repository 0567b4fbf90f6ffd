"""The evaluation network for nano audio: what PaSST and OpenL3 are to music, at nano scale."""

from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from smoothbench.models.nano.audio.files import embedded
from smoothbench.models.nano.audio.grammar import INSTRUMENTS, PATTERNS, REGISTERS
from smoothbench.models.nano.audio.spectrogram import MELS, SAMPLES, log_mel
from smoothbench.models.nano.files import MetricNetwork, restore_network
from smoothbench.models.nano.image.evaluator import Residual

WINDOW: Final = 64  # frames: 1.024 s
STRIDE: Final = 32
FEATURES: Final = 64
ATTRIBUTES: Final = {"instrument": INSTRUMENTS, "register": REGISTERS, "pattern": PATTERNS}


def windows(mel: Tensor) -> Tensor:
    """Cut log-mel spectrograms [N, 80, 128] into windows of 1.024 s every 0.512 s [N, 3, 80, 64]."""
    return mel.unfold(2, WINDOW, STRIDE).transpose(1, 2)


def checked_clips(clips: Tensor) -> Tensor:
    """Return clips int16 [N, 1, 32768] as [N, 32768]; ValueError for another type or shape."""
    if clips.dtype != torch.int16 or clips.shape[1:] != (1, SAMPLES):
        raise ValueError(
            f"nano audio networks take int16 [N, 1, {SAMPLES}] (16 kHz, mono, 2.048 s), "
            f"not {clips.dtype} {list(clips.shape)}"
        )
    return clips[:, 0]


class Trunk(nn.Module):
    """Encodes log-mel spectrograms [N, 80, 128] to a feature vector for each window [N, 3, 64].

    Pooled over time alone: where a sound lies in frequency tells its register.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.body = nn.Sequential(Residual(16, 24, 2), Residual(24, 48, 2), Residual(48, 64, 2))
        self.out = nn.Linear(64 * MELS // 16, FEATURES)

    def forward(self, mel: Tensor) -> Tensor:
        parts = windows(mel)
        maps = self.body(self.stem(parts.flatten(0, 1)[:, None]))
        return torch.relu(self.out(maps.mean(3).flatten(1))).view(*parts.shape[:2], FEATURES)


class Tagger(MetricNetwork):
    """Classifies instrument, register and pattern in windows of a clip.

    forward(int16 [N, 1, 32768]) gives a dict: `windows` float [N, 3, 64] (features of each window),
    `features` [N, 64] (their mean), `instrument` [N, 9], `register` [N, 4], `pattern` [N, 9] (logits,
    averaged over the windows), and `logits` [N, 324] of all combinations: their softmax is the product
    of the three. Raises ValueError for clips of another type or shape.
    """

    num_features = FEATURES
    name = "nano_tagger"
    version = 1
    digested = ("weights",)

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk()
        heads = {name: nn.Linear(FEATURES, len(values)) for name, values in ATTRIBUTES.items()}
        self.heads = nn.ModuleDict(heads)

    def tag(self, mel: Tensor) -> dict[str, Tensor]:
        """Compute all outputs for log-mel spectrograms [N, 80, 128]."""
        parts = self.trunk(mel)
        tags = {name: head(parts).mean(1) for name, head in self.heads.items()}
        first, second, third = tags.values()
        joint = first[:, :, None, None] + second[:, None, :, None] + third[:, None, None, :]
        return {"windows": parts, "features": parts.mean(1), "logits": joint.flatten(1), **tags}

    def forward(self, clips: Tensor) -> dict[str, Tensor]:
        return self.tag(log_mel(checked_clips(clips)))


def load_tagger(weights: str | Path) -> Tagger:
    """Load the trained network, frozen, from a safetensors file of this folder or an absolute path.

    Its `digest` is the sha256 of the file. Raises ValueError, naming the file, for bad weights.
    """
    return restore_network(Tagger(), embedded(weights))
