"""Recognises which Open-Sora a folder holds: STDiT3 of version 1.2, or another one."""

import inspect
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from smoothbench.errors import one_line
from smoothbench.models.opensora.stdit3 import STDiT3
from smoothbench.models.weights.diffusers_layout import place
from smoothbench.models.weights.locate import Files

log = logging.getLogger(__name__)

PUBLISHED: Final = "hpcai-tech/OpenSora-STDiT-v3"
COUNTS: Final = (
    "in_channels", "hidden_size", "depth", "num_heads", "caption_channels", "model_max_length", "input_sq_size",
)  # fmt: skip
# parts of names that no earlier version has together
MARKS: Final = ("spatial_blocks.", "temporal_blocks.", "fps_embedder.")
OTHERS: Final = ("x_embedder_cond",)  # starts of names that 1.2 does not have
FLAGS: Final = ("qk_norm", "pred_sigma")
EXPECTED: Final = {"patch_size": "three whole numbers from 1", "mlp_ratio": "a finite number above 0"}
# of version 1.3, whose transformer is an STDiT3 too, and of forks: 1.2 has none of them, or false
UNKNOWN: Final = ("kernel_size", "use_spatial_rope", "skip_temporal", "skip_y_embedder", "qk_norm_legacy")


def architecture(files: Files | None, configured: dict[str, Any]) -> dict[str, Any]:
    """Return all arguments of STDiT3: the folder's own, else the configured ones, else its defaults.

    Other keys, for instance of its training or its kernels, are ignored, except those in `UNKNOWN`, which belong to
    another model. Raises ValueError, naming the place, for another version of Open-Sora and where no model can be
    made of the arguments.
    """
    where, given = place(files), files.config() if files else configured
    if files and (kind := given.get("model_type", "STDiT3")) != "STDiT3":
        raise ValueError(
            f"{where}: a {kind!r:.40} is of another Open-Sora version than 1.2, whose transformer is an STDiT3: "
            f"model.path={PUBLISHED}"
        )
    if given is not configured and (foreign := [key for key in UNKNOWN if given.get(key)]):
        raise ValueError(
            f"{where}: {foreign[0]}={given[foreign[0]]!r:.40} is of another Open-Sora version than 1.2: "
            f"model.path={PUBLISHED}"
        )
    defaults = {key: each.default for key, each in inspect.signature(STDiT3).parameters.items()}
    if given is configured and (strange := sorted(set(configured) - set(defaults))):
        raise ValueError(f"{where}.{strange[0]}: no argument of STDiT3")
    config = {key: given.get(key, default) for key, default in defaults.items()}
    check_arguments(config, where)
    config["patch_size"] = list(config["patch_size"])
    if differs := [key for key in configured if config[key] != configured[key]]:
        log.warning("%s: %s differs from model.architecture; the folder's counts", where, ", ".join(differs))
    return config


def check_arguments(config: Mapping[str, Any], where: str) -> None:
    """Raise ValueError, naming the place and the argument, where no STDiT3 can be made of these arguments."""
    for key, value in config.items():
        if not _is(key, value):
            expected = "true or false" if key in FLAGS else EXPECTED.get(key, "a whole number from 1")
            raise ValueError(f"{where}: {key} must be {expected}, not {value!r:.60}")
    try:
        with torch.device("meta"):
            STDiT3(**{**config, "depth": 1})
    except Exception as error:  # invalid values make torch raise exceptions of many kinds
        raise ValueError(f"{where}: no STDiT3 can be made of it ({one_line(error)[:200]})") from None


def _is(key: str, value: Any) -> bool:
    """Whether an argument is of its type and range."""
    if key == "patch_size":
        return isinstance(value, list | tuple) and len(value) == 3 and all(map(_counts, value))
    if key == "mlp_ratio":
        return type(value) in (int, float) and 0 < value < math.inf
    if key in FLAGS:
        return type(value) is bool
    return key not in COUNTS or _counts(value)


def _counts(value: Any) -> bool:
    return type(value) is int and value >= 1


def check_names(state: Mapping[str, Tensor], path: Path) -> None:
    """Raise ValueError where a file lacks the tensors that mark version 1.2, or has those of another version."""
    if foreign := [name for name in state if name.startswith(OTHERS)]:
        raise ValueError(
            f"weights {path}: {foreign[0][:60]} is of another Open-Sora version than 1.2: model.path={PUBLISHED}"
        )
    if absent := [mark for mark in MARKS if not any(name.startswith(mark) for name in state)]:
        raise ValueError(
            f"weights {path}: {len(state)} tensors, none named {absent[0]}*: of another Open-Sora version than 1.2, or "
            f"another model: model.path={PUBLISHED}"
        )
