"""A calibration batch of the small DiT with guidance, whose sampling loop is written out here."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from smoothbench.caching import CalibrationBatch, Trajectory
from smoothbench.caching.mac_counter import site_costs
from smoothbench.caching.sites import find_sites
from tests.support.tiny_dit import build_tiny

Before = Callable[..., object]


@dataclass
class GuidedLoop:
    """x <- 0.98 x - 0.12 guided output; two forwards an evaluation, or one with the guidance rows of both."""

    evals: int = 10
    guidance: float = 2.0
    samples: int = 3
    forwards: int = 1
    shrink: float = 0.98

    def __post_init__(self) -> None:
        self.denoiser = copy.deepcopy(build_tiny().denoiser).double()

    def noise(self) -> Tensor:
        generator = torch.Generator().manual_seed(5)
        return torch.randn(self.samples, 1, 8, 8, generator=generator, dtype=torch.float64)

    def output(self, x: Tensor, e: int, before: Before) -> Tensor:
        """The guided output of evaluation e."""
        t = torch.linspace(999, 0, self.evals).long()[e]
        labels = [torch.arange(self.samples), torch.full((self.samples,), 10)]
        one = [(torch.cat([x, x]), torch.cat(labels))]
        batches = one if self.forwards == 1 else [(x, of) for of in labels]
        outputs = []
        for forward_index, (rows, of) in enumerate(batches):
            before(e, float(t), forward_index)
            outputs.append(self.denoiser(rows, timestep=t.expand(len(rows)), class_labels=of).sample)
        cond, uncond = torch.cat(outputs).chunk(2)
        return uncond + self.guidance * (cond - uncond)

    def step(self, x: Tensor, output: Tensor) -> Tensor:
        """The next state."""
        return self.shrink * x - 0.12 * output

    @torch.no_grad()
    def run(self, before: Before = lambda *_: None) -> Tensor:
        """Sample the batch."""
        x = self.noise()
        for e in range(self.evals):
            x = self.step(x, self.output(x, e, before))
        return x

    def batch(self, **more: Any) -> CalibrationBatch:
        """The batch to plan on, over the whole denoiser."""
        sites, rest = site_costs(
            self.denoiser,
            find_sites(self.denoiser, "denoiser"),
            lambda: self.output(self.noise(), 0, lambda *_: None),
            3,
        )
        coordinates = tuple(float(t) for t in torch.linspace(999, 0, self.evals).long())
        trajectory = Trajectory.over((sites, rest), coordinates)

        def sample(announcer: Any) -> Tensor:
            return self.run(announcer.step)

        return CalibrationBatch(self.denoiser, sample, trajectory, rows_per_sample=2 // self.forwards, **more)
