"""What methods that learn are taught with: windows of uncached evaluations."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from smoothbench.caching import Trajectory
from smoothbench.errors import UsageError
from smoothbench.sampling import SeededNoise
from smoothbench.store import read_arrays, write_atomic
from smoothbench.types import BLOCK, Config, Model, Solver

Window = Sequence[Callable[[], Tensor]]


class Taught:
    """Rows of a batch at consecutive evaluations, some of them with the null condition, without guidance."""

    def __init__(self, model: Model, solver: Solver, trajectory: Trajectory, asked: Config) -> None:
        self.model, self.solver, self.trajectory, self.asked = model, solver, trajectory, asked
        self.denoiser = model.denoiser
        self.about: Mapping[str, Any] = {"model": dict(model.identity), "lessons": asked}

    def keep(self, checkpoint: str, state: bytes) -> None:
        """Write the state of a training to the file of its checkpoint, whole or not at all."""
        write_atomic(Path(checkpoint), state)

    def drawn(self, count: int, generator: torch.Generator) -> Tensor:
        """Which of so many the rows of a batch are."""
        return torch.randint(count, (self.asked["batch_size"],), generator=generator)

    def dropped(self, conditions: Tensor, generator: torch.Generator) -> Tensor:
        """Conditions, a share of them replaced by the null one, as in training with label dropout."""
        mask = torch.rand(len(conditions), generator=generator) < self.asked["dropout"]
        null = self.model.unconditional(len(conditions))
        return torch.where(mask.view(-1, *[1] * (conditions.ndim - 1)), null, conditions)

    def forward(self, x: Tensor, e: int, conditions: Tensor) -> Callable[[], Tensor]:
        """The denoiser's forward at evaluation e, to be called at will."""
        t = self.trajectory.coordinates[e]
        return lambda: self.model.output(x.to(self.model.device), t, conditions)


class OwnTrajectories(Taught):
    """States of the model's own trajectories, with its guidance: no training data is needed."""

    def __init__(self, model: Model, solver: Solver, trajectory: Trajectory, asked: Config) -> None:
        super().__init__(model, solver, trajectory, asked)
        first = asked["seed"] * BLOCK
        seeds = range(first, first + asked["trajectories"])
        size = asked["batch_size"]
        bar = tqdm(total=len(seeds), desc="trajectories", unit="sample", disable=None)
        batches = []
        for start in range(0, len(seeds), size):
            part = seeds[start : start + size]
            batches.append(self._states(part))
            bar.update(len(part))
        bar.close()
        self._x = torch.cat(batches, 1)  # [evaluation, sample, ...]
        self._conditions = model.conditions(seeds)

    def window(self, start: int, length: int, generator: torch.Generator) -> Window:
        """Forwards at the states of some of the trajectories."""
        rows = self.drawn(self._x.shape[1], generator)
        conditions = self.dropped(self._conditions[rows], generator)
        return [self.forward(self._x[e, rows], e, conditions) for e in range(start, start + length)]

    @torch.inference_mode()
    def _states(self, seeds: Sequence[int]) -> Tensor:
        states: list[Tensor] = []
        noise = SeededNoise(seeds, self.model.sample_shape, self.model.device)
        conditions = self.model.conditions(seeds)

        def predict(e: int, x: Tensor, t: float) -> Tensor:
            states.append(x.cpu().clone())
            return self.model.predict(x, t, conditions, lambda branch: None)

        self.solver.integrate(noise(), predict, noise)
        return torch.stack(states)


class TrainingLatents(Taught):
    """Training latents from a file, diffused to an evaluation and brought on by the solver's own steps.

    The file is an npz of `latents` [N, ...], as the solver starts from, and `labels` [N]. Raises
    UsageError for other files, and for a solver that cannot step by itself.
    """

    def __init__(self, model: Model, solver: Solver, trajectory: Trajectory, asked: Config) -> None:
        super().__init__(model, solver, trajectory, asked)
        latents, labels = _latents(asked["latents"], tuple(model.sample_shape), model.unconditional(1).item())
        if not (hasattr(solver, "noised") and hasattr(solver, "step")):
            raise UsageError(
                f"training.latents: {type(solver).__name__} has no single step; leave it null to learn from the "
                "model's own trajectories"
            )
        self._latents, self._labels = torch.from_numpy(latents).float(), torch.from_numpy(labels).long()

    def window(self, start: int, length: int, generator: torch.Generator) -> Window:
        """Forwards at a diffused latent and at what steps without guidance make of it."""
        rows = self.drawn(len(self._latents), generator)
        conditions = self.dropped(self._labels[rows], generator)
        clean = self._latents[rows]
        solver: Any = self.solver
        x = solver.noised(clean, start, torch.randn(clean.shape, generator=generator))
        forwards = [self.forward(x, start, conditions)]
        for e in range(start, start + length - 1):
            with torch.no_grad():
                x = solver.step(e, x, forwards[-1]().cpu()[:, : x.shape[1]])
            forwards.append(self.forward(x, e + 1, conditions))
        return forwards


def _latents(path: str, shape: tuple[int, ...], null: float) -> tuple[np.ndarray, np.ndarray]:
    """Latents and labels of a file; UsageError where they are not such, of these shapes and classes."""
    if not Path(path).is_file():
        raise UsageError(f"training.latents={path}: no such file")
    arrays = read_arrays(Path(path)) or {}
    latents, labels = (arrays.get(key, np.zeros(0)) for key in ("latents", "labels"))
    sound = latents.dtype.kind == "f" and labels.dtype.kind in "iu" and len(latents) > 0
    fits = latents.shape[1:] == shape and labels.shape == latents.shape[:1]
    if not (sound and fits and np.isfinite(latents).all() and labels.min() >= 0 and labels.max() <= null):
        raise UsageError(
            f"training.latents={path}: must be an npz of finite latents [N, {', '.join(map(str, shape))}] and "
            f"whole labels [N] from 0 to {null:g}"
        )
    return latents, labels


def lessons(model: Model, solver: Solver, trajectory: Trajectory, asked: Config) -> Taught:
    """From training latents where a file of them is given, else from the model's own trajectories."""
    kind = OwnTrajectories if asked["latents"] is None else TrainingLatents
    return kind(model, solver, trajectory, asked)
