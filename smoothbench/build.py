"""From configuration nodes to objects: the only caller of Hydra's `instantiate`."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from smoothbench.caching.predictor import Predictor, predictor_from
from smoothbench.errors import UsageError
from smoothbench.types import Config, Model, Solver

# what a node says to the harness, not to its target
NOT_ARGUMENTS = ("predictor", "family", "label", "evaluation", "encoder")


def build(node: Mapping[str, Any], where: str, **more: Any) -> Any:
    """The object of a node's `_target_`; UsageError, naming the node, where that fails."""
    arguments = {key: value for key, value in node.items() if key not in NOT_ARGUMENTS}
    try:
        return instantiate(arguments, **more, _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__
        reason = str(cause if isinstance(cause, ValueError | OSError | TypeError) else error)
        raise UsageError(f"{where}: {' '.join(reason.split())}") from error


def device_of(name: str) -> torch.device:
    """`auto` is CUDA where there is one; UsageError for a device that is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise UsageError(f"device={name}: no such device; use auto, cpu or cuda")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UsageError(f"device={name}: there is no CUDA device here; use device=auto or device=cpu")
    return torch.device(name)


def build_model(node: Config, device: torch.device) -> Model:
    """The model with its weights on the device."""
    return build(node, "model", device=device)


def build_predictor(node: str | Config, where: str) -> Predictor:
    """A predictor by its short name (`reuse`, `taylor1`), or from a node with a `_target_`."""
    try:
        return predictor_from(build(node, where) if isinstance(node, dict) else node)
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from None


def build_solver(node: Config) -> Solver:
    """A sampler."""
    return build(node, "solver")
