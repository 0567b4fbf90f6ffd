"""Captions of the grammar as prompt lists, and what a clip must sound like to fit its caption."""

from torch import Tensor

from smoothbench.models.base.prompts import Prompts
from smoothbench.models.nano.audio.files import embedded
from smoothbench.models.nano.audio.grammar import Sound, sounds
from smoothbench.models.nano.audio.tagger import ATTRIBUTES
from smoothbench.models.nano.caption_lists import caption_list, caption_table, class_numbers


def embedded_prompts(list: str = "seen") -> Prompts:
    """Read the captions of the training clips (`seen`), or those that are in no training clip (`held_out`).

    Raises ValueError for another list.
    """
    return caption_list(list, embedded(""))


def table(held_out: bool) -> str:
    """A prompt list as CSV text, in a fixed random order."""
    return caption_table([sound.caption for sound in sounds() if sound.held_out == held_out])


def sound_of(caption: str) -> Sound:
    """The sound that a caption describes; ValueError, naming it, for one that is not of the grammar."""
    for sound in sounds():
        if sound.caption == caption:
            return sound
    raise ValueError(f"caption {caption!r} is not of the grammar (smoothbench/models/nano/audio/grammar.py)")


def labels(prompts: Prompts, attribute: str) -> Tensor:
    """The class that the tagger should see in a clip of each prompt, int64 [P].

    `attribute`: instrument, register, pattern, or all (the place among the tagger's `logits`). Raises
    ValueError for another one, and for a prompt outside the grammar.
    """
    return class_numbers([sound_of(text).labels for text in prompts.texts], ATTRIBUTES, attribute)
