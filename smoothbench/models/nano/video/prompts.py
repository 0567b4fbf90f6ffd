"""Captions of the grammar as prompt lists, and what a clip must look like to fit its caption."""

from collections.abc import Sequence
from math import prod
from typing import Final

import torch
from torch import Tensor

from smoothbench.models.nano.video.files import embedded
from smoothbench.models.nano.video.grammar import ATTRIBUTES, Scene, scenes
from smoothbench.models.prompts import Prompts

LISTS: Final = {"seen": "prompts/seen.csv", "held_out": "prompts/held_out.csv"}


def embedded_prompts(list: str = "seen") -> Prompts:
    """The captions of the training clips (`seen`), or those that are in no training clip (`held_out`).

    Raises ValueError for another list.
    """
    if list not in LISTS:
        raise ValueError(f"model.prompts.list must be {' or '.join(LISTS)}, not {list}")
    return Prompts(str(embedded(LISTS[list])), layout="csv")


def table(held_out: bool) -> str:
    """A prompt list as CSV: shuffled once and for all, so that any stretch of it is mixed."""
    chosen = [scene for scene in scenes() if scene.asked and scene.held_out == held_out]
    order = torch.randperm(len(chosen), generator=torch.Generator().manual_seed(0)).tolist()
    lines = (f"{number},{chosen[place].caption}" for number, place in enumerate(order, 1))
    return "\n".join(("id,caption", *lines)) + "\n"


def scenes_of(captions: Sequence[str]) -> list[Scene]:
    """What captions ask for; ValueError, naming it, for one that is not of the grammar."""
    known = {scene.caption: scene for scene in scenes()}
    if unknown := [caption for caption in captions if caption not in known]:
        raise ValueError(
            f"caption {unknown[0]!r} is not of the grammar (smoothbench/models/nano/video/grammar.py)"
        )
    return [known[caption] for caption in captions]


def labels(prompts: Prompts, attribute: str) -> Tensor:
    """Of each prompt the class that the classifier should see, int64 [P].

    `attribute`: item, colour, motion, speed, or all (the place among the classifier's `logits`). Raises
    ValueError for another one, and for a prompt outside the grammar.
    """
    asked = [scene.labels for scene in scenes_of(prompts.texts)]
    names = list(ATTRIBUTES)
    if attribute == "all":
        sizes = [len(values) for values in ATTRIBUTES.values()]
        strides = [prod(sizes[place + 1 :]) for place in range(len(sizes))]
        return torch.tensor(asked) @ torch.tensor(strides)
    if attribute not in names:
        raise ValueError(f"attribute must be {', '.join(names)} or all, not {attribute}")
    return torch.tensor([each[names.index(attribute)] for each in asked])
