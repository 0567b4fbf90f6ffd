"""Captions of the grammar as prompt lists, and what a clip must look like to fit its caption."""

from collections.abc import Sequence

from torch import Tensor

from smoothbench.models.base.prompts import Prompts
from smoothbench.models.nano.caption_lists import caption_list, caption_table, class_numbers
from smoothbench.models.nano.video.files import embedded
from smoothbench.models.nano.video.grammar import ATTRIBUTES, Scene, scenes


def embedded_prompts(list: str = "seen") -> Prompts:
    """Read the captions of the training clips (`seen`), or those that are in no training clip (`held_out`).

    Raises ValueError for another list.
    """
    return caption_list(list, embedded(""))


def table(held_out: bool) -> str:
    """A prompt list as CSV text, in a fixed random order."""
    return caption_table([s.caption for s in scenes() if s.has_prompts and s.held_out == held_out])


def scenes_of(captions: Sequence[str]) -> list[Scene]:
    """The scenes that captions describe; ValueError, naming it, for a caption that is not of the grammar."""
    by_caption = {scene.caption: scene for scene in scenes()}
    if unknown := [caption for caption in captions if caption not in by_caption]:
        raise ValueError(
            f"caption {unknown[0]!r} is not of the grammar (smoothbench/models/nano/video/grammar.py)"
        )
    return [by_caption[caption] for caption in captions]


def labels(prompts: Prompts, attribute: str) -> Tensor:
    """The class that the classifier should see in a clip of each prompt, int64 [P].

    `attribute`: item, colour, motion, speed, or all (the place among the classifier's `logits`). Raises
    ValueError for another one, and for a prompt outside the grammar.
    """
    return class_numbers([scene.labels for scene in scenes_of(prompts.texts)], ATTRIBUTES, attribute)
