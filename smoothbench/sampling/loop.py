"""The sampling loop, one for all models and solvers: a sample depends on its seed, not on its batch."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from smoothbench.protocols import AnnounceRun, Model, Noise, Predict, SamplesItself, Solver, State

Announce = AnnounceRun  # (evaluation, coordinate, forward index) before each forward


def silent(e: int, coordinate: float, forward_index: int) -> None:
    """An `announce` that tells nobody."""


class SeededNoise:
    """Standard normal noise [B, ...] on a device, from one CPU generator for each sample; each call draws anew.

    `draws` counts the calls.
    """

    def __init__(self, seeds: Sequence[int], shape: tuple[int, ...], device: torch.device) -> None:
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._shape, self._device = shape, device
        self.draws = 0

    def __call__(self) -> Tensor:
        self.draws += 1
        rows = [torch.randn(self._shape, generator=generator) for generator in self._generators]
        noise = torch.stack(rows)
        if self._device.type == "cuda":  # from pinned memory, so that the copy does not wait for the device
            noise = noise.pin_memory()
        return noise.to(self._device, non_blocking=True)


def solver_states(
    solver: Solver, x: Tensor, predict: Predict, noise: Noise, first: int = 0, state: State | None = None
) -> Iterator[tuple[int, State]]:
    """The sampling loop: yield (e, state) before each evaluation e, and at last with e the number of evaluations.

    An evaluation runs only when the next state is asked for, so that a caller may record states or stop early.

    Args: x, noise [B, ...] of variance 1; predict, the model; noise, fresh noise for the solver's steps; first and
    state, where it goes on from the state before a later evaluation.
    """
    state = solver.begin(x) if state is None else state
    for e, coordinate in enumerate(solver.coordinates[first:], first):
        yield e, state
        output = predict(e, solver.model_input(e, state), coordinate)
        state = solver.step(e, state, output, noise)
    yield len(solver.coordinates), state


def final_sample(solver: Solver, states: Iterable[tuple[int, State]]) -> Tensor:
    """Run the loop to its end and return the finished sample [B, ...]."""
    for _, state in states:
        last = state
    return solver.sample(last)


class Snapshot(NamedTuple):
    """Where a run stood before evaluation e: the solver's state, and how often it had drawn noise."""

    e: int
    state: State
    draws: int


@torch.inference_mode()
def sampling_states(
    model: Model,
    solver: Solver,
    seeds: Sequence[int],
    announce: Announce,
    labels_or_prompts: Tensor | None = None,
    start: Snapshot | None = None,
    passed: Callable[[Snapshot], None] = lambda snapshot: None,
) -> Iterator[tuple[int, State]]:
    """The sampling loop with a model, on the noise of these seeds: yield (e, state) as `solver_states` does.

    Args: announce, called before each forward of the denoiser; labels_or_prompts [B, ...], in place of those that
    belong to the seeds; start, where it goes on from; passed, called with each snapshot on the way.
    """
    yield from _states(model, solver, seeds, announce, labels_or_prompts, start, passed)


def _states(
    model: Model,
    solver: Solver,
    seeds: Sequence[int],
    announce: Announce,
    labels_or_prompts: Tensor | None,
    start: Snapshot | None,
    passed: Callable[[Snapshot], None],
) -> Iterator[tuple[int, State]]:
    """The states of `sampling_states`, for a caller that is in inference mode: to enter it for each takes time."""
    noise = SeededNoise(seeds, model.sample_shape, model.device)
    if labels_or_prompts is None:
        labels_or_prompts = model.labels_or_prompts(seeds)
    conditioning = model.conditioning(labels_or_prompts)

    def predict(e: int, x: Tensor, coordinate: float) -> Tensor:
        return model.predict(
            x, coordinate, conditioning, lambda forward_index: announce(e, coordinate, forward_index)
        )

    x, first, state = noise(), 0, None
    if start is not None:
        first, state = start.e, start.state
        while noise.draws < start.draws:
            noise()
    for e, now in solver_states(solver, x, predict, noise, first, state):
        passed(Snapshot(e, now, noise.draws))
        yield e, now


@torch.inference_mode()
def latents(
    model: Model,
    solver: Solver,
    seeds: Sequence[int],
    announce: Announce,
    labels_or_prompts: Tensor | None = None,
    start: Snapshot | None = None,
    passed: Callable[[Snapshot], None] = lambda snapshot: None,
) -> Tensor:
    """Sample a batch and return it undecoded, [B, ...]; the arguments are those of `sampling_states`.

    A model that samples itself has no states to start from or to pass. Raises FloatingPointError, naming the seeds,
    where a sample is not finite.
    """
    if isinstance(model, SamplesItself):
        return _finite(model.sample_itself(solver, seeds, announce, labels_or_prompts), seeds)
    states = _states(model, solver, seeds, announce, labels_or_prompts, start, passed)
    return _finite(final_sample(solver, states), seeds)


@torch.inference_mode()
def decodable(model: Model, solver: Solver, seeds: Sequence[int], announce: Announce) -> Tensor:
    """Sample a batch and return what the model's `decode` takes: latents, of most models; errors as of `latents`."""
    if isinstance(model, SamplesItself):
        return _finite(model.sample_itself(solver, seeds, announce, finished=True), seeds)
    return latents(model, solver, seeds, announce)


def _finite(x: Tensor, seeds: Sequence[int]) -> Tensor:
    """Return the samples; FloatingPointError, naming the seeds, where some are not finite."""
    finite = x.flatten(1).isfinite().all(1).tolist()
    if not all(finite):
        bad = [seed for seed, ok in zip(seeds, finite, strict=True) if not ok]
        raise FloatingPointError(f"{len(bad)} of {len(seeds)} samples are not finite (seeds {bad[:8]})")
    return x
