"""Runs of the nano twin whose last block is recorded, with DDIM and with ancestral sampling."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from numpy.typing import NDArray
from torch import Tensor

from smoothbench.caching import CalibrationBatch, Trajectory, cosine_errors, find_sites, last_stream
from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build_model
from smoothbench.protocols import Noise
from smoothbench.sampling.calibrate_point import calibration_batches
from smoothbench.sampling.devices import device_of
from smoothbench.sampling.loop import latents
from smoothbench.sibling_packages import ROOT
from smoothbench.solvers.ddim import DDIM

STEPS, GUIDANCE, AT_ONCE = 50, 1.5, 32


@dataclass(frozen=True)
class Labelled(DDIM):
    """DDIM with a label for tables."""

    label: ClassVar[str] = "DDIM"


@dataclass(frozen=True)
class Ancestral(Labelled):
    """Ancestral sampling (DDPM) on DDIM's time grid: its step with the noise of eta = 1 (arXiv 2010.02502, eq. 16)."""

    label: ClassVar[str] = "ancestral"
    name = "ancestral"
    version = 1

    def step(self, e: int, state: Tensor, output: Tensor, noise: Noise) -> Tensor:
        """Go from evaluation e to the next one along the noise predicted at e, and add fresh noise."""
        here, there = self._signal[e], self._signal[e + 1]
        variance = (1 - there) / (1 - here) * (1 - here / there)
        x0 = (state - (1 - here) ** 0.5 * output) / here**0.5
        along = max(1 - there - variance, 0.0) ** 0.5
        return there**0.5 * x0 + along * output + variance**0.5 * noise()


def ddim() -> Labelled:
    """The deterministic sampler."""
    return Labelled(steps=STEPS)


def ancestral() -> Ancestral:
    """The sampler with fresh noise."""
    return Ancestral(steps=STEPS)


def twin_errors(solver: DDIM, lags: int, num_samples: int) -> NDArray[np.float64]:
    """Return dit_nano's cosine errors on calibration seeds, [lag - 1, evaluation, sample]."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        composed = settings(compose("config", ["model=dit_nano", f"model.guidance={GUIDANCE}"]))
    model = build_model(composed.model, device_of(composed.device))
    calibration = {"seed": 999, "num_samples": num_samples, "draw": 0, "unconditional": False}
    trajectory = Trajectory(find_sites(model.denoiser, "span"), solver.coordinates)
    measured = []
    for seeds, labels in calibration_batches(model, calibration, AT_ONCE):

        def sample(announcer: Any, seeds: Any = seeds, labels: Any = labels) -> Tensor:
            return latents(model, solver, seeds, announcer.step, labels)

        rows = model.guidance_rows // model.forwards
        batch = CalibrationBatch(model.denoiser, sample, trajectory, rows_per_sample=rows)
        measured.append(cosine_errors(last_stream(batch), lags))
    return torch.cat(measured, 2).numpy()
