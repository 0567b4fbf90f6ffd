"""A small real DiT with random weights, and a way to sample from it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import DiTTransformer2DModel
from torch import Tensor, nn

from baselines.fora import FORA
from smoothbench.caching import CalibrationBatch, Schedule, Trajectory, find_sites


@dataclass
class TinyDiT:
    """Three blocks; `run()` is a 12-evaluation trajectory on rows [cond, uncond]."""

    denoiser: nn.Module
    evals: int = 12

    def run(
        self,
        batch: int = 2,
        before: Callable[[int, float], None] = lambda e, t: None,
        evals: int | None = None,
    ) -> Tensor:
        generator = torch.Generator().manual_seed(5)
        x = torch.randn(batch, 1, 8, 8, generator=generator).repeat(2, 1, 1, 1)
        labels = torch.cat([torch.arange(batch) % 10, torch.full((batch,), 10)])
        timesteps = torch.linspace(999, 0, self.evals)[:evals].long()
        with torch.inference_mode():
            for e, t in enumerate(timesteps):
                before(e, float(t))
                x = x - 0.2 * self.denoiser(x, timestep=t.expand(len(x)), class_labels=labels).sample
        return x


def build_tiny(seed: int = 0) -> TinyDiT:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        denoiser = DiTTransformer2DModel(
            num_attention_heads=2,
            attention_head_dim=8,
            in_channels=1,
            out_channels=1,
            num_layers=3,
            sample_size=8,
            patch_size=2,
            num_embeds_ada_norm=10,
        )
        for block in denoiser.transformer_blocks:  # stronger modulation: outputs change along the trajectory
            nn.init.normal_(block.norm1.linear.weight, std=0.3)
    return TinyDiT(denoiser.eval())


def batch_of(dit: TinyDiT, trajectory: Trajectory, predictor: Any = "reuse") -> CalibrationBatch:
    """The batch of `dit.run()` to plan on: two samples of two rows."""

    def sample(announcer: Any) -> Tensor:
        return dit.run(before=announcer.step, evals=trajectory.evals)

    return CalibrationBatch(dit.denoiser, sample, trajectory, predictor, rows_per_sample=2)


def fora(dit: TinyDiT, interval: int = 3) -> Schedule:
    """FORA for all evaluations of `dit.run()`."""
    return FORA(interval).plan(Trajectory(find_sites(dit.denoiser), tuple(range(dit.evals))))
