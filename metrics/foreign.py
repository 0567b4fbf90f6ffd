"""What metrics by other libraries' classes share: their inputs, device, direction, weights, and how they refuse."""

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from metrics.sample_inputs import SampleInputs

# what a module of another library raises where it refuses its input
MISTAKES = (ValueError, TypeError, RuntimeError, IndexError, NotImplementedError)
T = TypeVar("T")


def checked_cap(cap: float | None) -> float | None:
    """Return a bound of values, or None for no bound; ValueError for a bound that is not finite and above 0."""
    if cap is not None and not (math.isfinite(cap) and cap > 0):
        raise ValueError(f"cap={cap} must be a finite number above 0, or null")
    return cap


class ForeignMetric:
    """A metric whose numbers another library's module computes, on the model's device.

    `inputs`, `scale`, `dtype` and `rgb` are those of `SampleInputs`. `higher_is_better` is the module's own where it is
    None, `is_distance` whether the module compares samples with the uncached ones. `digest` is the module's own, else
    the sha256 of its weights. Raises ValueError for other settings.
    """

    def __init__(
        self,
        module: nn.Module,
        inputs: Sequence[str],
        scale: str,
        dtype: str,
        rgb: bool,
        higher_is_better: bool | None,
    ) -> None:
        self._module = module.eval().requires_grad_(False)
        self._given = SampleInputs(inputs, scale, dtype, rgb)
        self.inputs: tuple[str, ...] = self._given.of_harness
        self.is_distance = self._given.paired
        self.higher_is_better = _direction(module, higher_is_better)
        self.digest: str | None = getattr(module, "digest", None) or weights_digest(module)

    def meet(self, device: torch.device, texts: Sequence[str] | None) -> None:
        """Take the device to compute on and the texts of all prompts; ValueError where it needs some and has none."""
        self._given.meet(device, texts)
        self._module.to(device)

    def _attempt(self, call: Callable[[], T]) -> T:
        """Call the module; ValueError, with its reason on one line, where it refuses what it is given."""
        try:
            return call()
        except torch.OutOfMemoryError:
            raise
        except MISTAKES as error:
            reason = " ".join(str(error).split())[:200]
            raise ValueError(
                f"{type(self._module).__name__} refuses these samples ({reason}): leave it out, or set its inputs"
            ) from error


def _direction(module: Any, higher_is_better: bool | None) -> bool:
    """Whether higher values are better, as given or as the module says (pyiqa: `lower_better`)."""
    stated = getattr(module, "higher_is_better", None)
    if isinstance(lower := getattr(module, "lower_better", None), bool):
        stated = not lower
    chosen = stated if higher_is_better is None else higher_is_better
    if not isinstance(chosen, bool):
        raise ValueError(
            f"{type(module).__name__} does not say whether higher is better: set higher_is_better"
        )
    return chosen


def weights_digest(module: nn.Module) -> str | None:
    """Hash the names and values of a module's weights to a sha256; None for a module without any."""
    hashed, weights = hashlib.sha256(), sorted(module.state_dict().items())
    for name, values in weights:
        hashed.update(f"{name} {values.dtype} {tuple(values.shape)}".encode())
        hashed.update(_bytes(values))
    return hashed.hexdigest() if weights else None


def _bytes(values: Tensor) -> bytes:
    return values.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
