"""The nouns of the harness as protocols and records; see also `smoothbench.caching`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

Predict = Callable[
    [int, Tensor, float], Tensor
]  # (evaluation, model input, coordinate) -> the guided prediction
AnnounceForward = Callable[[int], None]  # called before each forward of an evaluation with its index, from 0
Noise = Callable[[], Tensor]  # draws fresh noise of the shape of x, from each sample's own generator
State = Any  # what a solver keeps between evaluations, never changed in place; the loop hands it on unseen
Config = dict[str, Any]  # a resolved configuration node

BLOCK = 10**6  # seeds in a seed block


class Media(Protocol):
    """Writes one sample as the bytes of a file, without loss, and reads it again."""

    suffix: str

    def encode(self, sample: Tensor) -> bytes: ...

    def decode(self, data: bytes) -> Tensor: ...


class Model(Protocol):
    """A published model or its nano twin.

    `identity` holds what decides its samples beside solver and schedule: weights' sha256, dtype,
    guidance, numerics. `forwards` of the denoiser make one evaluation, in which `guidance_rows` rows in all
    belong to one sample. `unavailable_reason` says in one line why it can draw no samples (weights that are not
    there, or random ones): its costs are known all the same, by `skeleton`. `prediction` is what it
    predicts: noise, v or velocity. No samples are drawn in batches below `min_batch_size`.
    """

    name: str
    identity: Mapping[str, Any]
    denoiser: nn.Module
    device: torch.device
    media: Media
    sample_shape: tuple[int, ...]
    forwards: int
    guidance_rows: int
    unavailable_reason: str | None
    prediction: str
    min_batch_size: int

    def labels_or_prompts(self, seeds: Sequence[int]) -> Tensor:
        """Return the class label or the prompt number of each seed, int64 [N]."""
        ...

    def unconditional(self, count: int) -> Tensor:
        """Return the null label, or the number of no prompt, for so many samples, int64 [count]."""
        ...

    def predict(self, x: Tensor, t: float, labels_or_prompts: Tensor, announce: AnnounceForward) -> Tensor:
        """Return the guided prediction for x [B, ...] at timestep t; call `announce` before each forward."""
        ...

    def output(self, x: Tensor, t: float, labels_or_prompts: Tensor) -> Tensor:
        """Return the denoiser's own output for x [B, ...], without guidance, in one forward."""
        ...

    def decode(self, x: Tensor) -> Tensor:
        """Decode x [B, ...] to finished samples on the CPU, as `media` writes them."""
        ...

    def skeleton(self) -> tuple[nn.Module, Callable[[], Any]]:
        """Return the denoiser on the meta device, and a call that evaluates it for one sample, for counting costs."""
        ...


class Solver(Protocol):
    """A sampler as explicit steps, which the sampling loop takes one evaluation at a time.

    The solver itself never changes: what it needs of earlier evaluations is in the state. `prediction` is what the
    denoiser must predict: noise, v or velocity. `coordinates` are its timesteps or noise levels, one for each
    evaluation, the noisiest first.
    """

    @property
    def prediction(self) -> str: ...

    @property
    def coordinates(self) -> tuple[float, ...]: ...

    def begin(self, x: Tensor) -> State:
        """The state before the first evaluation, from noise [B, ...] of variance 1."""
        ...

    def model_input(self, e: int, state: State) -> Tensor:
        """What the denoiser gets at evaluation e, [B, ...]."""
        ...

    def step(self, e: int, state: State, output: Tensor, noise: Noise) -> State:
        """The state after evaluation e, from the prediction `output` [B, ...]; draws `noise` only if it needs any."""
        ...

    def sample(self, state: State) -> Tensor:
        """The finished sample [B, ...] of the state after the last evaluation."""
        ...


@runtime_checkable
class Diffuses(Solver, Protocol):
    """A solver that can also start at any evaluation from a clean sample, and step on from there."""

    def diffuse(self, clean: Tensor, e: int, noise: Tensor) -> State:
        """The state before evaluation e that the forward process makes of a clean sample and noise, both [B, ...]."""
        ...
