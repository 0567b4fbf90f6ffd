"""From configuration nodes to objects: the only caller of Hydra's `instantiate`."""

from collections.abc import Mapping
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate

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
        reason = str(cause if isinstance(cause, ValueError | OSError) else error)
        raise UsageError(f"{where}: {' '.join(reason.split())}") from error


def device_of(name: str) -> torch.device:
    """`auto` is CUDA where there is one; UsageError for a device that is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UsageError("device=cuda: there is no CUDA device here; use device=auto or device=cpu")
    try:
        return torch.device(name)
    except RuntimeError:
        raise UsageError(f"device={name}: no such device; use auto, cpu or cuda") from None


def build_model(node: Config, device: torch.device) -> Model:
    """The model with its weights on the device."""
    return build(node, "model", device=device)


def build_solver(node: Config) -> Solver:
    """A sampler."""
    return build(node, "solver")
