"""The embedded DiT on a solver: its calibration batches, and how near its cached samples come to others."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from torch import Tensor

from metrics.inference import Estimate, estimate
from metrics.paired import PSNR
from smoothbench.caching import CalibrationBatch, Fitted, Schedule, StateMatching, Trajectory, cached
from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build_model, build_solver
from smoothbench.planning.chosen_sites import ChosenSites
from smoothbench.protocols import BLOCK, Solver
from smoothbench.sampling.loop import latents, silent
from smoothbench.sibling_packages import ROOT
from smoothbench.solvers.finer import finer

CALIBRATION_BLOCK = 999
AT_ONCE = 32  # samples that are evaluated together
SUBSTEPS = 4  # of the fine run, for each step
DECIMALS = 2


class Bench:
    """An embedded model on its solver, with `num_samples` evaluation samples of seed block 0, on the CPU.

    Args: steps, the solver's; guidance, its scale, by default the model's; seeds, evaluation seeds in place of the
    first ones; substeps, how many steps are made in place of each one; model, the name of its configuration.
    """

    def __init__(
        self,
        num_samples: int = 32,
        steps: int = 50,
        guidance: float | None = None,
        seeds: Sequence[int] | None = None,
        substeps: int = 1,
        model: str = "dit_nano",
    ) -> None:
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            scale = [] if guidance is None else [f"model.guidance={guidance}"]
            composed = settings(compose("config", [f"model={model}", f"solver.steps={steps}", *scale]))
        self.model = build_model(composed.model, torch.device("cpu"))
        solver: Solver = build_solver(composed.specs[0].solver)
        self.solver = finer(solver, substeps) if substeps > 1 else solver
        self.seeds = range(num_samples) if seeds is None else seeds

    def trajectory(self, level: str = "denoiser") -> Trajectory:
        """Return what a method plans on whose sites lie at a level."""
        return ChosenSites(self.model).trajectory(Fitted(2, level=level), self.solver.coordinates)

    def batch(self, seeds: Sequence[int], level: str = "denoiser") -> CalibrationBatch:
        """Return the calibration batch of these seeds."""

        def sampled(solver: Solver) -> Callable[[Any], Tensor]:
            return lambda announcer: latents(self.model, solver, seeds, announcer.step)

        return CalibrationBatch(
            self.model.denoiser,
            sampled(self.solver),
            self.trajectory(level),
            rows_per_sample=self.model.guidance_rows // self.model.forwards,
            finer=lambda substeps: sampled(finer(self.solver, substeps)),
        )

    @cached_property
    def uncached(self) -> Tensor:
        """The uncached images of the evaluation seeds, uint8."""
        return self.model.decode(self.uncached_latents)

    @cached_property
    def uncached_latents(self) -> Tensor:
        """The uncached samples of the evaluation seeds, undecoded."""
        return self._latents(self.solver, silent)

    @cached_property
    def fine(self) -> Tensor:
        """The images of a run with sub-steps for each step, uint8."""
        return self.model.decode(self._latents(finer(self.solver, SUBSTEPS), silent))

    def images(self, schedule: Schedule, predictor: Any) -> Tensor:
        """Return the images of the evaluation seeds under a schedule, uint8."""
        return self.model.decode(self.latents(schedule, predictor))

    def latents(self, schedule: Schedule, predictor: Any) -> Tensor:
        """Return the samples of the evaluation seeds under a schedule, undecoded."""
        with cached(self.model.denoiser, schedule, predictor=predictor) as run:
            return self._latents(self.solver, run.step)

    def _latents(self, solver: Solver, announce: Any) -> Tensor:
        parts = [self.seeds[i : i + AT_ONCE] for i in range(0, len(self.seeds), AT_ONCE)]
        return torch.cat([latents(self.model, solver, part, announce) for part in parts])


def calibration_seeds(count: int, draw: int = 0) -> range:
    """Return the seeds of a draw of calibration samples, apart from those that are evaluated."""
    first = CALIBRATION_BLOCK * BLOCK + draw * count
    return range(first, first + count)


def fit(
    batch: CalibrationBatch, full: int, target: str = "uncached", **settings: Any
) -> tuple[Schedule, Any]:
    """Plan `full` evaluations on a calibration batch, and fit the weights; `settings` are those of the plan."""
    schedule = Fitted(full, target=target, **settings).plan_on(batch.trajectory, batch)
    return schedule, StateMatching().fit(schedule, batch)


def psnr(images: Tensor, others: Tensor) -> Tensor:
    """Return the PSNR [samples] of two batches of images, in dB."""
    return PSNR().per_sample(images, others)


def mean_of(values: Tensor) -> Estimate:
    """Return the mean over samples with its standard error."""
    return estimate(float(values.mean()), (values - values.mean()).numpy())


def written(values: Tensor, signed: bool = False) -> str:
    """Write a mean over samples with its 95 % interval."""
    mean, sign = mean_of(values), "+" if signed else ""
    return f"{mean.value:{sign}.{DECIMALS}f} [{mean.low:.{DECIMALS}f}, {mean.high:.{DECIMALS}f}]"


def print_table(rows: Iterable[Mapping[str, str]]) -> None:
    """Print rows as a table in Markdown, each as soon as it is there."""
    for number, row in enumerate(rows):
        heads = [] if number else [list(row), ["---"] * len(row)]
        for cells in (*heads, row.values()):
            print(f"| {' | '.join(cells)} |", flush=True)
    print()
