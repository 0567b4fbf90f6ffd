"""The structure of a denoiser in one line, by which a changed denoiser is noticed between calibration and run."""

import hashlib
import warnings
from collections.abc import Mapping
from typing import Any

from torch import nn

from smoothbench.caching.hooks import HANDLED

DENOISER = "denoiser"  # in a schedule's metadata


def fingerprint(denoiser: nn.Module) -> str:
    """Describe a denoiser's structure: its class, its numbers of parameters and of weights, and a digest.

    The digest is over the classes of all modules, and the names and shapes of all parameters, in any order; a module
    that torch compiled counts as the one inside. An adapter, a replaced block of another class or shape and quantised
    layers change it. Values do not, as reading billions of weights takes minutes: an adapter that was merged into the
    weights, a checkpoint of the same architecture, an attention processor, a dtype and a device are not seen.
    """
    parts, count, total = list[str](), 0, 0
    shapes: dict[tuple[int, ...], str] = {}  # to write each once, as every run of a planned schedule asks
    below = [("", denoiser)]  # not named_modules(), which takes three times as long
    while below:
        path, module = below.pop()
        inner = module._modules.get(HANDLED)
        module = module if inner is None else inner
        parts.append(f"{path} {type(module).__name__}")
        for name, weight in module._parameters.items():
            if weight is not None:
                shape = weight.shape
                text = shapes.get(shape) or shapes.setdefault(shape, f"{[*shape]}")
                parts.append(f"{path} {name} {text}")
                count, total = count + 1, total + weight.numel()
        below += [(f"{path}.{name}", part) for name, part in module._modules.items() if part is not None]
    digest = hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()[:12]
    return f"{type(denoiser).__name__} with {count} parameters of {total:,} weights ({digest})"


def refuse_or_warn_if_changed(
    denoiser: nn.Module, meta: Mapping[str, Any], weighs: bool, stacklevel: int
) -> None:
    """Warn, naming both, where a schedule's metadata name another denoiser as the one that it was planned on.

    Where the schedule comes with weights, and the run `weighs` outputs by them, that is a ValueError.
    """
    planned = meta.get(DENOISER)
    if not isinstance(planned, str) or planned == (present := fingerprint(denoiser)):
        return
    difference = f"the schedule was planned on a {planned}, and this is a {present}"
    if weighs:
        raise ValueError(
            f"{difference}: its weights do not fit, so make them anew, or leave them out by predictor='reuse'"
        )
    warnings.warn(
        f"{difference}: if an adapter was loaded or a module replaced since, calibrate again",
        stacklevel=stacklevel,
    )
