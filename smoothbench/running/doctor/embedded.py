"""The embedded models as the doctor samples them: small, from the same seeds, on a device and on the CPU."""

from functools import cached_property
from typing import NamedTuple

import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from torch import Tensor

from smoothbench.caching import Schedule, cached, find_sites
from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build_model, build_solver
from smoothbench.protocols import Model, Solver
from smoothbench.sampling.loop import latents, silent
from smoothbench.sibling_packages import ROOT

CPU = torch.device("cpu")
EVALUATIONS = 6
SEEDS = range(4)


class Sampled(NamedTuple):
    """A model with its solver, and its uncached samples of `SEEDS`, undecoded [4, ...]."""

    model: Model
    solver: Solver
    samples: Tensor


class Embedded:
    """An embedded model by its name in `conf/model`, on the device that is checked and on the CPU.

    It is built and sampled at first use. `tolerance` is the largest relative difference between the two that
    rounding explains.
    """

    def __init__(self, name: str, tolerance: float, device: torch.device) -> None:
        self.name, self.tolerance, self.device = name, tolerance, device

    @cached_property
    def on_device(self) -> Sampled:
        """The model on the device that is checked."""
        return self._sampled(self.device)

    @cached_property
    def on_cpu(self) -> Sampled:
        """The model on the CPU."""
        return self.on_device if self.device == CPU else self._sampled(CPU)

    def build(self, device: torch.device) -> tuple[Model, Solver]:
        """Build the model anew, with a solver of few steps."""
        plan = settings(composed(f"model={self.name}", f"solver.steps={EVALUATIONS}", f"device={device}"))
        return build_model(plan.model, device), build_solver(plan.specs[0].solver)

    def _sampled(self, device: torch.device) -> Sampled:
        model, solver = self.build(device)
        return Sampled(model, solver, latents(model, solver, SEEDS, silent))


def composed(*overrides: str) -> DictConfig:
    """Compose the configuration of a run as the command line would."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("config", list(overrides))


def alternating(sampled: Sampled) -> Schedule:
    """Make the schedule that computes every site at every other evaluation, and reuses it in between."""
    bits = [e % 2 == 0 for e in range(len(sampled.solver.coordinates))]
    return Schedule.steps(find_sites(sampled.model.denoiser), bits, {"method": "alternating"})


def cached_samples(sampled: Sampled) -> tuple[Tensor, set[int]]:
    """Sample `SEEDS` under the alternating schedule: the samples, and how often sites were computed."""
    schedule, coordinates = alternating(sampled), sampled.solver.coordinates
    with cached(sampled.model.denoiser, schedule, coordinates=coordinates) as run:
        samples = latents(sampled.model, sampled.solver, SEEDS, run.step)
    return samples, set(run.calls.values())
