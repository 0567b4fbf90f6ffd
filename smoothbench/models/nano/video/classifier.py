"""The evaluation network for nano video: what VBench's many encoders are to real clips, at nano scale."""

from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from smoothbench.models.base.lpips_stages import stage_vectors
from smoothbench.models.nano.files import MetricNetwork, restore_network
from smoothbench.models.nano.image.evaluator import Residual
from smoothbench.models.nano.video.corpus import FRAMES, SIZE
from smoothbench.models.nano.video.files import embedded
from smoothbench.models.nano.video.grammar import ATTRIBUTES

FEATURES: Final = 64


def checked_clips(clips: Tensor) -> Tensor:
    """Return clips uint8 [N, 12, 3, 32, 32] as they are; ValueError for another type or shape."""
    if clips.dtype != torch.uint8 or clips.shape[1:] != (FRAMES, 3, SIZE, SIZE):
        raise ValueError(
            f"nano video networks take uint8 [N, {FRAMES}, 3, {SIZE}, {SIZE}], "
            f"not {clips.dtype} {list(clips.shape)}"
        )
    return clips


class FrameTrunk(nn.Module):
    """Encodes frames float [N, 3, 32, 32] in [-1, 1] to maps [N, 64, 4, 4]; `stages` gives those on the way too."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.body = nn.Sequential(Residual(16, 32, 2), Residual(32, FEATURES, 2))

    def forward(self, frames: Tensor) -> Tensor:
        return self.stages(frames)[-1]

    def stages(self, frames: Tensor) -> list[Tensor]:
        """Return the maps of the stem and of each residual block."""
        maps = [self.stem(frames)]
        for block in self.body:
            maps.append(block(maps[-1]))
        return maps


class Classifier(MetricNetwork):
    """Classifies item, colour, motion and speed of a clip.

    forward(uint8 [N, 12, 3, 32, 32]) gives a dict: `frames` float [N, 12, 64] (features of each frame by
    itself: its pooled map), `features` [N, 64] (of the clip), `item` [N, 6], `colour` [N, 6], `motion`
    [N, 8], `speed` [N, 3] (logits), and `logits` [N, 864] of all combinations: their softmax is the product
    of the four. Raises ValueError for clips of another type or shape.
    """

    num_features = FEATURES
    name = "nano_clips"
    version = 1
    digested = ("weights",)

    def __init__(self) -> None:
        super().__init__()
        self.trunk = FrameTrunk()
        self.place = nn.Sequential(nn.Linear(FEATURES * 16, FEATURES), nn.ReLU())
        self.motion = nn.Sequential(
            nn.Conv1d(FEATURES, FEATURES, 3, padding=1, bias=False),
            nn.BatchNorm1d(FEATURES),
            nn.ReLU(),
            nn.Conv1d(FEATURES, FEATURES, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm1d(FEATURES),
            nn.ReLU(),
        )
        self.out = nn.Sequential(nn.Linear(FEATURES * FRAMES // 2 + FEATURES, FEATURES), nn.ReLU())
        heads = {name: nn.Linear(FEATURES, len(values)) for name, values in ATTRIBUTES.items()}
        self.heads = nn.ModuleDict(heads)

    def forward(self, clips: Tensor) -> dict[str, Tensor]:
        return self.classify(checked_clips(clips).float() / 127.5 - 1)

    def classify(self, clips: Tensor) -> dict[str, Tensor]:
        """Compute all outputs for clips float [N, 12, 3, 32, 32] in [-1, 1]."""
        maps = self.trunk(clips.flatten(0, 1))
        frames = maps.mean((2, 3)).unflatten(0, clips.shape[:2])
        places = self.place(maps.flatten(1)).unflatten(0, clips.shape[:2])
        features = self.out(torch.cat([self.motion(places.transpose(1, 2)).flatten(1), frames.mean(1)], 1))
        logits = {name: head(features) for name, head in self.heads.items()}
        item, colour, motion, speed = logits.values()
        things = item[:, :, None] + colour[:, None, :]
        movements = motion[:, :, None] + speed[:, None, :]
        joint = things.flatten(1)[:, :, None] + movements.flatten(1)[:, None, :]
        return {"frames": frames, "features": features, "logits": joint.flatten(1), **logits}


class FrameEncoder(nn.Module):
    """Encodes single frames by the classifier's trunk.

    forward(uint8 [N, 3, 32, 32]) gives a dict: `features` float [N, 64] (pooled last map), and `stages`
    [N, 7168] (the maps of the stem and of each residual block, see `stage_vectors`). Raises ValueError for
    images of another type or shape.
    """

    num_features = FEATURES
    name = "nano_frames"
    version = 1
    digested = ("weights",)

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.trunk, self.digest = classifier.trunk, classifier.digest

    def forward(self, frames: Tensor) -> dict[str, Tensor]:
        if frames.dtype != torch.uint8 or frames.shape[1:] != (3, SIZE, SIZE):
            raise ValueError(
                f"the nano frame encoder takes uint8 [N, 3, {SIZE}, {SIZE}], "
                f"not {frames.dtype} {list(frames.shape)}"
            )
        maps = self.trunk.stages(frames.float() / 127.5 - 1)
        return {"features": maps[-1].mean((2, 3)), "stages": stage_vectors(maps)}


def load_frames(weights: str | Path) -> FrameEncoder:
    """Load the frame encoder of a classifier's weights; see `load_classifier`."""
    return FrameEncoder(load_classifier(weights))


def load_classifier(weights: str | Path) -> Classifier:
    """Load the trained network, frozen, from a safetensors file of this folder or an absolute path.

    Its `digest` is the sha256 of the file. Raises ValueError, naming the file, for bad weights.
    """
    return restore_network(Classifier(), embedded(weights))
