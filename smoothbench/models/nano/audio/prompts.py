"""Captions of the grammar as prompt lists, and what a clip must sound like to fit its caption."""

from typing import Final

import torch
from torch import Tensor

from smoothbench.models.nano.audio.files import embedded
from smoothbench.models.nano.audio.grammar import Sound, sounds
from smoothbench.models.nano.audio.tagger import ATTRIBUTES
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
    chosen = [sound for sound in sounds() if sound.held_out == held_out]
    order = torch.randperm(len(chosen), generator=torch.Generator().manual_seed(0)).tolist()
    lines = (f"{number},{chosen[place].caption}" for number, place in enumerate(order, 1))
    return "\n".join(("id,caption", *lines)) + "\n"


def sound_of(caption: str) -> Sound:
    """What a caption asks for; ValueError for one that is not of the grammar."""
    for sound in sounds():
        if sound.caption == caption:
            return sound
    raise ValueError(f"caption {caption!r} is not of the grammar (smoothbench/models/nano/audio/grammar.py)")


def labels(prompts: Prompts, attribute: str) -> Tensor:
    """Of each prompt the class that the tagger should see, int64 [P].

    `attribute`: instrument, register, pattern, or all (the place among the tagger's `logits`). Raises
    ValueError for another one, and for a prompt outside the grammar.
    """
    asked = [sound_of(text) for text in prompts.texts]
    if attribute == "all":
        sizes = [len(values) for values in ATTRIBUTES.values()]
        return torch.tensor([(s.instrument * sizes[1] + s.register) * sizes[2] + s.pattern for s in asked])
    if attribute not in ATTRIBUTES:
        raise ValueError(f"attribute must be {', '.join(ATTRIBUTES)} or all, not {attribute}")
    return torch.tensor([getattr(sound, attribute) for sound in asked])
