"""The prompt lists of the embedded models: captions of the training clips, and captions that are in none."""

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from smoothbench.models.base.prompts import Prompts

LISTS: Final = {"seen": "prompts/seen.csv", "held_out": "prompts/held_out.csv"}


def caption_list(name: str, folder: Path) -> Prompts:
    """Read the prompt list `seen` or `held_out` of a model's folder; ValueError for another name."""
    if name not in LISTS:
        raise ValueError(f"model.prompts.list must be {' or '.join(LISTS)}, not {name}")
    return Prompts(str(folder / LISTS[name]), layout="csv")


def caption_table(captions: Sequence[str]) -> str:
    """Write captions as the CSV text of a prompt list, shuffled by a fixed seed, so that any stretch of it is mixed."""
    order = torch.randperm(len(captions), generator=torch.Generator().manual_seed(0)).tolist()
    lines = (f"{number},{captions[place]}" for number, place in enumerate(order, 1))
    return "\n".join(("id,caption", *lines)) + "\n"


def class_numbers(
    classes: Sequence[Sequence[int]], attributes: Mapping[str, Sequence[str]], attribute: str
) -> Tensor:
    """Pick the class of one attribute for every caption, int64 [P], of its classes of all attributes [P][attributes].

    For the attribute `all` it is the number of the combination, in which the last attribute counts fastest.
    Raises ValueError for an unknown attribute.
    """
    names = list(attributes)
    if attribute == "all":
        sizes = [len(values) for values in attributes.values()]
        strides = [prod(sizes[place + 1 :]) for place in range(len(sizes))]
        return torch.tensor(classes) @ torch.tensor(strides)
    if attribute not in names:
        raise ValueError(f"attribute must be {', '.join(names)} or all, not {attribute}")
    return torch.tensor([row[names.index(attribute)] for row in classes])
