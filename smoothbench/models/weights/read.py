"""Reads tensors from files and loads them into modules; no code of a file is ever run."""

import argparse
import pickle
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from smoothbench.errors import one_line
from smoothbench.models.weights.locate import Files
from smoothbench.models.weights.stand_ins import AGAIN, stand_in

P = ParamSpec("P")
R = TypeVar("R")

STD = 0.02  # of random weights: outputs stay finite in half precision too


def read_state(files: Files) -> dict[str, Tensor]:
    """Read the state dict of a component from all its shards; ValueError as of `read_tensors`."""
    return {name: tensor for path in files.shards() for name, tensor in read_tensors(path).items()}


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the state dict of a *.safetensors file or a torch checkpoint, on the CPU, memory-mapped where that works.

    From a training checkpoint it reads the averaged weights (`ema`), else `model`; the checkpoint may also hold its
    arguments as a plain namespace. Raises ValueError, naming the file and what it is, where it is damaged,
    holds something else, or cannot be read without running code.
    """
    if other := _instead(path):
        raise ValueError(f"weights {path}: {other}")
    data = _read(path)
    for key in ("ema", "model"):
        if isinstance(data, dict) and isinstance(data.get(key), dict):
            data = data[key]
    if not isinstance(data, dict) or not all(isinstance(value, Tensor) for value in data.values()):
        raise ValueError(f"weights {path}: no state dict (names with tensors) is in it")
    return data


def _instead(path: Path) -> str | None:
    try:
        return stand_in(path)
    except OSError:  # reading the file reports it
        return None


def _read(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:  # its own text advises to run the file's code
        code = re.search(r"GLOBAL (\S+)", str(error))
        reason = f"it asks for {code[1]}" if code else "it is damaged, or asks for code"
        raise ValueError(
            f"weights {path}: refused, only tensors are read and {reason}: convert it to safetensors"
        ) from None
    except Exception as error:  # damaged bytes make parsers raise exceptions of many kinds
        raise ValueError(f"weights {path}: damaged or half-downloaded ({_short(error)}): {AGAIN}") from None


def fill(module: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Copy a state dict into a module, to its dtype and device.

    Raises ValueError, naming the file and how many, where tensors are missing, left over or of another shape.
    """
    if differences := "; ".join(_differences(module.state_dict(), state)):
        raise ValueError(f"weights {path}: of another model: {differences}")
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"weights {path}: damaged or of another model ({_short(error)})") from None


def _differences(wanted: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> Iterator[str]:
    """Describe which tensors a file lacks, has too many, or has in another shape, each with the first name."""
    if absent := [name for name in wanted if name not in state]:
        yield f"it lacks {len(absent)} of {len(wanted)} tensors ({absent[0]:.80})"
    if left_over := [name for name in state if name not in wanted]:
        yield f"has {len(left_over)} that the model has not ({left_over[0]:.80})"
    if misshapen := [name for name in wanted if name in state and state[name].shape != wanted[name].shape]:
        shape, expected = (list(each[misshapen[0]].shape) for each in (state, wanted))
        yield f"{len(misshapen)} of another shape ({misshapen[0]:.80}: {shape}, not {expected})"


def randomise(module: nn.Module) -> None:
    """Fill a module with normal weights from a fixed seed, for costs alone."""
    parameters = list(module.parameters())
    if parameters[0].is_meta:  # there are no values
        return
    generator = torch.Generator(parameters[0].device).manual_seed(0)
    for parameter in parameters:
        nn.init.normal_(parameter, std=STD, generator=generator)


def lasting(make: Callable[P, R]) -> Callable[P, R]:
    """Make a cached value of ordinary tensors, even if it is first needed within inference mode.

    No gradient can be taken through a tensor that was made in inference mode: without this, no router could be
    trained on a model that has sampled before.
    """

    @wraps(make)
    def made(*args: P.args, **kwargs: P.kwargs) -> R:
        with torch.inference_mode(False), torch.no_grad():
            return make(*args, **kwargs)

    return made


def cast(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Convert a module to another dtype; diffusers' own method warns of an empty list of exceptions."""
    return nn.Module.to(module, dtype)


def _short(error: Exception) -> str:
    return one_line(error)[:200]
