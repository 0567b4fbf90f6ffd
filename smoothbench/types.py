"""The nouns of the harness as protocols and records; see also `smoothbench.caching`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from smoothbench.storage.paper_row import PaperRow

Predict = Callable[[int, Tensor, float], Tensor]  # (evaluation, x, timestep) -> the model's guided prediction
Branch = Callable[[int], None]  # told which forward of the evaluation the denoiser is about to run, from 0
Noise = Callable[[], Tensor]  # fresh noise of the shape of x, from each sample's own generator
Config = dict[str, Any]  # a resolved configuration node

BLOCK = 10**6  # seeds in a seed block


class Media(Protocol):
    """How one sample becomes a file, without loss."""

    suffix: str

    def encode(self, sample: Tensor) -> bytes: ...

    def decode(self, data: bytes) -> Tensor: ...


class Model(Protocol):
    """A published model or its nano twin.

    `identity` holds what decides its samples beside solver and schedule: weights' sha256, dtype,
    guidance, numerics. `forwards` of the denoiser make one evaluation, in which `rows` rows in all
    belong to one sample. `missing` says in one line why it can draw no samples (weights that are not
    there, or random ones): its costs are known all the same, by `skeleton`. `prediction` is what it
    predicts: noise, v or velocity. No samples are drawn in batches below `least_batch`.
    """

    name: str
    identity: Mapping[str, Any]
    denoiser: nn.Module
    device: torch.device
    media: Media
    sample_shape: tuple[int, ...]
    forwards: int
    rows: int
    missing: str | None
    prediction: str
    least_batch: int

    def conditions(self, seeds: Sequence[int]) -> Tensor:
        """What each sample is asked to be."""
        ...

    def unconditional(self, count: int) -> Tensor:
        """Conditions that ask for nothing."""
        ...

    def predict(self, x: Tensor, t: float, conditions: Tensor, branch: Branch) -> Tensor:
        """The guided prediction at timestep t; `branch` is told before each forward of the denoiser."""
        ...

    def output(self, x: Tensor, t: float, conditions: Tensor) -> Tensor:
        """The denoiser's own output for these rows, without guidance, in one forward."""
        ...

    def decode(self, x: Tensor) -> Tensor:
        """Finished samples on the CPU, as `media` writes them."""
        ...

    def skeleton(self) -> tuple[nn.Module, Callable[[], Any]]:
        """The denoiser on the meta device, and a call that evaluates it for one sample: for counting."""
        ...


class Solver(Protocol):
    """A sampler; `coordinates` are the timesteps of its evaluations, the noisiest first.

    `prediction` is what it takes: a model that predicts something else cannot be sampled with it.
    """

    @property
    def prediction(self) -> str: ...

    @property
    def coordinates(self) -> tuple[float, ...]: ...

    def integrate(self, x: Tensor, predict: Predict, noise: Noise) -> Tensor: ...


@dataclass(frozen=True)
class Spec:
    """One point of an experiment as asked for: the configuration of its parts, resolved.

    `seeds` are those of its samples: sample i of block b has seed b * 10^6 + i. They are the first
    `per_block` of a block, or a part of these. `training` is how its method learns; `published` stands in
    for `cache` where there are no weights to calibrate on; `reported` is what a paper says of it.
    """

    name: str
    order: int
    label: str
    family: str
    solver: Config
    cache: Config
    predictor: str | Config
    calibration: Config
    seeds: range
    per_block: int
    reference: bool = False
    training: Config | None = None
    published: Config | None = None
    reported: PaperRow | None = None


@dataclass
class Settings:
    """What an experiment's points share."""

    experiment: str
    stage: str
    model: Config
    metrics: Config
    batch_size: int
    device: str
    results_dir: str
    latency: Config
    training: Config
    paper: Config | None
    specs: list[Spec] = field(default_factory=list)
    keep_samples: bool = True
    force: bool = False
    tf32: bool = False
    out: str | None = None

    @property
    def draws_samples(self) -> bool:
        """Whether points are sampled and scored; the other stages ask for costs and latency alone."""
        return self.stage == "all"

    def times_latency(self, kind: str) -> bool:
        """Whether latency is measured on this kind of device."""
        return bool(self.latency["rounds"] and self.latency["device"] in ("any", kind))
