"""Captioned clips of moving sprites, drawn from seeds: what the networks of this folder were trained on.

Sprites are Fashion-MNIST items (Debian: dataset-fashion-mnist), tinted, 16 to 20 pixels wide, on a dark
ground. A clip is a function of its scene and its seed, so nothing is kept on disk.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

from smoothbench.models.nano.image import fashion_mnist
from smoothbench.models.nano.video.grammar import ITEMS, MOTIONS, Scene, scenes

FRAMES: Final = 12
SIZE: Final = 32  # rows and columns of a frame
FPS: Final = 8
GROUND: Final = 0.08  # grey of the background
RGB: Final = (  # of COLOURS
    (1.0, 0.15, 0.15),
    (0.15, 0.85, 0.2),
    (0.25, 0.4, 1.0),
    (1.0, 0.9, 0.15),
    (0.8, 0.2, 0.95),
    (1.0, 1.0, 1.0),
)
CLASSES: Final = tuple(
    fashion_mnist.CLASSES.index({"t-shirt": "T-shirt", "boot": "ankle boot"}.get(item, item))
    for item in ITEMS
)
WIDTHS: Final = (16.0, 20.0)  # pixels, least and most
TRAVEL: Final = ((3.5, 5.0), (10.0, 12.0))  # pixels in a clip: slowly, quickly
HEIGHT: Final = (6.0, 9.0)  # pixels of a bounce
BOUNCES: Final = (1, 2)  # in a clip: slowly, quickly
GROWTH: Final = ((0.7, 0.78), (0.35, 0.45))  # the least size as a share of the most
TRAIN_SEED, TEST_SEED, REFERENCE_SEED = 0, 500_000_000, 600_000_000
EACH: Final = 4  # test and reference clips of each scene, held out or not


class Clip(NamedTuple):
    """One clip to draw: its scene, and the seed of everything else."""

    scene: Scene
    seed: int


class Sprites:
    """Draws clips of Fashion-MNIST items of a split; FileNotFoundError where the data set is not there."""

    def __init__(self, split: str) -> None:
        images, labels = fashion_mnist.load(split)
        self._items = [images[labels == label, 0] for label in CLASSES]

    def draw(self, clips: Sequence[Clip]) -> Tensor:
        """Draw clips, uint8 [N, 12, 3, 32, 32]."""
        drawn = [self._paths(clip) for clip in clips]
        sprites = torch.stack([sprite for sprite, _ in drawn]).float() / 255
        sprites = (sprites / sprites.amax((1, 2), keepdim=True)) ** 0.7
        width, x, y = torch.from_numpy(np.stack([path for _, path in drawn])).float().unbind(1)
        cover = torch.einsum("ntia,nab,ntjb->ntij", _overlap(y, width), sprites, _overlap(x, width))
        tint = torch.tensor([RGB[clip.scene.colour] for clip in clips]).view(-1, 1, 3, 1, 1)
        frames = GROUND + cover[:, :, None].clamp(0, 1) * (tint - GROUND)
        return (frames * 255).round().to(torch.uint8)

    def _paths(self, clip: Clip) -> tuple[Tensor, np.ndarray]:
        """The sprite [28, 28], and its width, column and row of centre in each frame [3, 12], in pixels."""
        rng = np.random.default_rng(clip.seed)
        choices = self._items[clip.scene.item]
        return choices[int(rng.integers(len(choices)))], path(clip.scene, rng)


def path(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Return width and centre (column, row) of the sprite's box in each frame [3, 12]; it stays in the picture."""
    time = np.linspace(0, 1, FRAMES)
    width = np.full(FRAMES, rng.uniform(*WIDTHS))
    motion = MOTIONS[scene.motion]
    shift = np.zeros((2, FRAMES))
    if motion.startswith("moves"):
        axis, sign = {"left": (0, -1), "right": (0, 1), "up": (1, -1), "down": (1, 1)}[motion.split()[1]]
        shift[axis] = sign * time * min(rng.uniform(*TRAVEL[scene.speed]), SIZE - width[0])
    elif motion == "bounces":
        shift[1] = -rng.uniform(*HEIGHT) * np.abs(np.sin(np.pi * BOUNCES[scene.speed] * time))
    elif motion in ("grows", "shrinks"):
        least = rng.uniform(*GROWTH[scene.speed])
        width = width * (least + (1 - least) * (time if motion == "grows" else 1 - time))
    low = width.max() / 2 - shift.min(1)
    high = SIZE - width.max() / 2 - shift.max(1)
    return np.stack([width, *(rng.uniform(low, high)[:, None] + shift)])


def _overlap(centre: Tensor, width: Tensor) -> Tensor:
    """How much of each picture row [.., 32] each sprite row [.., 28] covers: antialiased, at any place."""
    step = (width / 28)[..., None, None]
    first = (centre - width / 2)[..., None, None] + step * torch.arange(28)
    pixel = torch.arange(SIZE, dtype=torch.float32)[:, None]
    return (torch.minimum(pixel + 1, first + step) - torch.maximum(pixel, first)).clamp(min=0)


def train_clips(first: int, count: int, backwards: bool = True) -> list[Clip]:
    """Return clips of scenes that are not held out, all equally often; also of scenes that no prompt asks for."""
    trained_on = [scene for scene in scenes() if not scene.held_out and (scene.has_prompts or backwards)]
    mixed = np.random.default_rng(first).permutation(max(count, len(trained_on)))[:count].tolist()
    return [
        Clip(trained_on[place % len(trained_on)], TRAIN_SEED + first + i) for i, place in enumerate(mixed)
    ]


def test_clips() -> list[Clip]:
    """Return four clips of every scene, held-out ones included."""
    return [Clip(scene, TEST_SEED + i) for i, scene in enumerate(scenes() * EACH)]


def reference_clips() -> list[Clip]:
    """Return four clips of every scene, from other seeds than the test clips."""
    return [Clip(scene, REFERENCE_SEED + i) for i, scene in enumerate(scenes() * EACH)]
