"""The one sampling loop, for all models: a sample depends on its seed, not on its batch."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from smoothbench.types import Model, Solver

Announce = Callable[[int, float, int], None]


def silent(e: int, t: float, branch: int) -> None:
    """Announce to nobody."""


class SeededNoise:
    """Standard normal noise, one CPU generator a sample; drawn anew at each call."""

    def __init__(self, seeds: Sequence[int], shape: tuple[int, ...], device: torch.device) -> None:
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._shape, self._device = shape, device

    def __call__(self) -> Tensor:
        rows = [torch.randn(self._shape, generator=generator) for generator in self._generators]
        return torch.stack(rows).to(self._device)


@torch.inference_mode()
def latents(
    model: Model,
    solver: Solver,
    seeds: Sequence[int],
    announce: Announce,
    conditions: Tensor | None = None,
) -> Tensor:
    """Sample a batch, not decoded; `announce(e, t, branch)` is called before each forward.

    `conditions`, where given, stand in for those that belong to the seeds. Raises FloatingPointError,
    naming the seeds, where a sample is not finite.
    """
    noise = SeededNoise(seeds, model.sample_shape, model.device)
    asked = model.conditions(seeds) if conditions is None else conditions

    def predict(e: int, x: Tensor, t: float) -> Tensor:
        return model.predict(x, t, asked, lambda branch: announce(e, t, branch))

    x = solver.integrate(noise(), predict, noise)
    finite = x.flatten(1).isfinite().all(1).tolist()
    if not all(finite):
        bad = [seed for seed, ok in zip(seeds, finite, strict=True) if not ok]
        raise FloatingPointError(f"{len(bad)} of {len(seeds)} samples are not finite (seeds {bad[:8]})")
    return x
