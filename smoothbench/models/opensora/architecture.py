"""Which Open-Sora a folder holds: STDiT3 of version 1.2, or another one."""

import inspect
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from smoothbench.errors import one_line
from smoothbench.models.opensora.stdit3 import STDiT3
from smoothbench.models.published import place
from smoothbench.models.weights import Files

log = logging.getLogger(__name__)

PUBLISHED: Final = "hpcai-tech/OpenSora-STDiT-v3"
COUNTS: Final = (
    "in_channels", "hidden_size", "depth", "num_heads", "caption_channels", "model_max_length", "input_sq_size",
)  # fmt: skip
MARKS: Final = ("spatial_blocks.", "temporal_blocks.", "fps_embedder.")  # in no other version's names


def architecture(files: Files | None, asked: dict[str, Any]) -> dict[str, Any]:
    """All arguments of STDiT3: the folder's own, else those asked for, else its defaults.

    Keys that change no output (how it was trained, which kernels) are passed over. Raises ValueError, naming the
    place, for another version of Open-Sora and where no model can be made of them.
    """
    where, found = place(files), files.config() if files else asked
    if files and (kind := found.get("model_type", "STDiT3")) != "STDiT3":
        raise ValueError(
            f"{where}: a {kind!r:.40} is of another Open-Sora version than 1.2, whose transformer is an STDiT3: "
            f"model.path={PUBLISHED}"
        )
    known = {key: each.default for key, each in inspect.signature(STDiT3).parameters.items()}
    if found is asked and (strange := sorted(set(asked) - set(known))):
        raise ValueError(f"{where}.{strange[0]}: no argument of STDiT3")
    config = {key: found.get(key, default) for key, default in known.items()}
    config["patch_size"] = list(config["patch_size"])
    _check(config, where)
    if differs := [key for key in asked if config[key] != asked[key]]:
        log.warning("%s: %s differs from model.architecture; the folder's counts", where, ", ".join(differs))
    return config


def _check(config: dict[str, Any], where: str) -> None:
    for key in COUNTS:
        if type(config[key]) is not int or config[key] < 1:
            raise ValueError(f"{where}: {key} must be a whole number from 1, not {config[key]!r:.60}")
    try:
        with torch.device("meta"):
            STDiT3(**{**config, "depth": 1})
    except Exception as error:  # whatever torch makes of odd values
        raise ValueError(f"{where}: no STDiT3 can be made of it ({one_line(error)[:200]})") from None


def check_names(state: Mapping[str, Tensor], path: Path) -> None:
    """ValueError where the tensors of a file have the names of another version of Open-Sora."""
    if lacks := [mark for mark in MARKS if not any(name.startswith(mark) for name in state)]:
        raise ValueError(
            f"weights {path}: {len(state)} tensors, none named {lacks[0]}*: of another Open-Sora version than 1.2, or "
            f"another model: model.path={PUBLISHED}"
        )
