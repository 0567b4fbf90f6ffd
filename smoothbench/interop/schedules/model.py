"""The denoiser of a diffusers folder without its weights: its blocks and their names."""

import json
from pathlib import Path
from typing import Any

import diffusers
import torch
from torch import nn

from smoothbench.errors import UsageError, one_line, shown

PARTS = ("transformer", "unet", ".")


def denoiser_in(folder: Path) -> nn.Module:
    """Build the denoiser of a pipeline's folder, or of its own, on the meta device; UsageError where there is none."""
    configs = [folder / part / "config.json" for part in PARTS]
    config = next((path for path in configs if path.is_file()), None)
    if config is None:
        raise UsageError(f"--model {folder}: has no transformer/config.json, unet/config.json or config.json")
    try:
        data: dict[str, Any] = json.loads(config.read_text(encoding="utf-8"))
        kind = getattr(diffusers, data["_class_name"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        raise UsageError(f"--model {folder}: {config} is no configuration of a model") from None
    except AttributeError:
        raise UsageError(
            f"--model {folder}: diffusers {diffusers.__version__} has no {shown(data['_class_name'])}: upgrade it"
        ) from None
    try:
        with torch.device("meta"):
            denoiser: nn.Module = kind.from_config(data)
    except Exception as error:  # whatever a class makes of a damaged configuration
        raise UsageError(
            f"--model {folder}: {config} builds no {kind.__name__} ({one_line(error)})"
        ) from None
    return denoiser
