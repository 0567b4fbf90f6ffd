"""Training data for methods that learn: windows of consecutive uncached evaluations of the denoiser."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from smoothbench.caching import Trajectory
from smoothbench.errors import UsageError
from smoothbench.protocols import BLOCK, Config, Diffuses, Model, Solver
from smoothbench.sampling.loop import sampling_states, silent
from smoothbench.storage.files import read_arrays, write_atomic

Window = Sequence[Callable[[], Tensor]]  # the forwards of consecutive evaluations of one batch


class TeacherWindows:
    """Batches of consecutive uncached evaluations, without guidance, from which a router is distilled.

    Labels are replaced by the null label with probability `dropout`. Learning-to-Cache is trained on such data
    (Ma et al. 2024, arXiv 2406.01733, section 3.3).

    Args: config, the `training` node of the configuration.
    """

    def __init__(self, model: Model, solver: Solver, trajectory: Trajectory, config: Config) -> None:
        self.model, self.solver, self.trajectory, self.config = model, solver, trajectory, config
        self.denoiser = model.denoiser
        # router files have this under the key `lessons`; another key would change the identity of every router
        self.provenance: Mapping[str, Any] = {"model": dict(model.identity), "lessons": config}

    def save_checkpoint(self, checkpoint: str, state: bytes) -> None:
        """Write the state of a training to the file of its checkpoint, atomically."""
        write_atomic(Path(checkpoint), state)

    def sample_indices(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw the indices of a training batch, int64 [batch_size], uniform in [0, count)."""
        return torch.randint(count, (self.config["batch_size"],), generator=generator)

    def drop_labels(self, labels_or_prompts: Tensor, generator: torch.Generator) -> Tensor:
        """Replace each of the labels or prompts [B, ...] by the null one with probability `dropout`."""
        mask = torch.rand(len(labels_or_prompts), generator=generator) < self.config["dropout"]
        null = self.model.unconditional(len(labels_or_prompts))
        return torch.where(mask.view(-1, *[1] * (labels_or_prompts.ndim - 1)), null, labels_or_prompts)

    def forward(self, x: Tensor, e: int, labels_or_prompts: Tensor) -> Callable[[], Tensor]:
        """Return a call that runs the denoiser's forward on x [B, ...] at evaluation e."""
        t = self.trajectory.coordinates[e]
        return lambda: self.model.output(x.to(self.model.device), t, labels_or_prompts)


class OwnTrajectories(TeacherWindows):
    """Windows that start at states of the model's own guided trajectories; no training data is needed."""

    def __init__(self, model: Model, solver: Solver, trajectory: Trajectory, config: Config) -> None:
        super().__init__(model, solver, trajectory, config)
        first = config["seed"] * BLOCK
        seeds = range(first, first + config["trajectories"])
        size = config["batch_size"]
        bar = tqdm(total=len(seeds), desc="trajectories", unit="sample", disable=None)
        batches = []
        for start in range(0, len(seeds), size):
            batch = seeds[start : start + size]
            batches.append(self._inputs(batch))
            bar.update(len(batch))
        bar.close()
        self.inputs = torch.cat(batches, 1)  # [evaluation, sample, ...]
        self._labels_or_prompts = model.labels_or_prompts(seeds)

    def window(self, start: int, length: int, generator: torch.Generator) -> Window:
        """Return the forwards at evaluations start, start + 1, ... of randomly chosen trajectories."""
        chosen = self.sample_indices(self.inputs.shape[1], generator)
        labels_or_prompts = self.drop_labels(self._labels_or_prompts[chosen], generator)
        return [
            self.forward(self.inputs[e, chosen], e, labels_or_prompts) for e in range(start, start + length)
        ]

    @torch.inference_mode()
    def _inputs(self, seeds: Sequence[int]) -> Tensor:
        """The denoiser's inputs at every evaluation of these seeds, on the CPU, [evaluation, sample, ...]."""
        evals = self.trajectory.evals
        states = sampling_states(self.model, self.solver, seeds, silent)
        return torch.stack(
            [self.solver.model_input(e, state).cpu().clone() for e, state in states if e < evals]
        )


class TrainingLatents(TeacherWindows):
    """Windows that start at diffused training latents from a file and continue by the solver's own steps.

    The file is an npz of clean `latents` [N, ...] and whole `labels` [N]. Raises UsageError for other files, and for
    a solver that cannot diffuse a clean sample.
    """

    def __init__(self, model: Model, solver: Solver, trajectory: Trajectory, config: Config) -> None:
        super().__init__(model, solver, trajectory, config)
        null = model.unconditional(1).item()
        latents, labels = _latents(config["latents"], tuple(model.sample_shape), null)
        if not isinstance(solver, Diffuses):
            raise UsageError(
                f"training.latents: {type(solver).__name__} cannot start from a diffused latent; leave it null to "
                "learn from the model's own trajectories"
            )
        self.solver: Diffuses = solver
        self._latents, self._labels = torch.from_numpy(latents).float(), torch.from_numpy(labels).long()

    def window(self, start: int, length: int, generator: torch.Generator) -> Window:
        """Return the forwards at randomly chosen latents, diffused to evaluation `start`, and at the steps after it."""
        chosen = self.sample_indices(len(self._latents), generator)
        labels_or_prompts = self.drop_labels(self._labels[chosen], generator)
        clean = self._latents[chosen]
        noise = partial(torch.randn, clean.shape, generator=generator)
        state = self.solver.diffuse(clean, start, noise())
        forwards = [self.forward(self.solver.model_input(start, state), start, labels_or_prompts)]
        for e in range(start, start + length - 1):
            with torch.no_grad():
                # the prediction comes first; further channels are a learned variance
                output = forwards[-1]().cpu()[:, : clean.shape[1]]
                state = self.solver.step(e, state, output, noise)
            forwards.append(self.forward(self.solver.model_input(e + 1, state), e + 1, labels_or_prompts))
        return forwards


def _latents(path: str, shape: tuple[int, ...], null: float) -> tuple[np.ndarray, np.ndarray]:
    """Read latents [N, *shape] and labels [N], at most `null`, from an npz; UsageError where it holds others."""
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


def teacher_windows(
    model: Model, solver: Solver, trajectory: Trajectory, config: Config
) -> OwnTrajectories | TrainingLatents:
    """Make training windows from the file of latents that `config` names, else from the model's own trajectories."""
    kind = OwnTrajectories if config["latents"] is None else TrainingLatents
    return kind(model, solver, trajectory, config)
