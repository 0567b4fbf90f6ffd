"""What a plug-in must have, and the small protocols of what it may have: its capabilities.

The harness asks for a capability by `isinstance(part, Prompted)`, never by a name; see also `smoothbench.caching`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from smoothbench.caching.mac_counter import Macs
from smoothbench.caching.trajectory import Trajectory
from smoothbench.placement import ComputesOnDevice as ComputesOnDevice
from smoothbench.placement import EmbedsPrompts as EmbedsPrompts
from smoothbench.self_sampling import AnnounceRun as AnnounceRun
from smoothbench.self_sampling import SamplesItself as SamplesItself
from smoothbench.self_sampling import ShowsCoordinates as ShowsCoordinates
from smoothbench.self_sampling import SwitchesNetworks as SwitchesNetworks

Predict = Callable[[int, Tensor, float], Tensor]  # of evaluation, model input and coordinate: guided
AnnounceForward = Callable[[int], None]  # called before each forward of an evaluation with its index, from 0
Noise = Callable[[], Tensor]  # draws fresh noise of the shape of x, from each sample's own generator
State = Any  # what a solver keeps between evaluations, never changed in place; the loop hands it on unseen
Config = dict[str, Any]  # a resolved configuration node

BLOCK = 10**6  # seeds in a seed block


class Media(Protocol):
    """Writes one sample as the bytes of a file, without loss, and reads it again.

    `bytes_per_value` is what a number of a sample is expected to take on disk, for estimates before a run.
    """

    suffix: str
    bytes_per_value: float

    def encode(self, sample: Tensor) -> bytes: ...

    def decode(self, data: bytes) -> Tensor: ...


class Model(Protocol):
    """A published model or its nano twin.

    `identity` holds what decides its samples beside solver and schedule: weights' sha256, dtype, guidance, numerics.
    `forwards` of the denoiser make one evaluation, in which `guidance_rows` rows in all belong to one sample.
    `unavailable_reason` says in one line why it can draw no samples (weights absent, or random); `skeleton` has costs.
    `prediction` is what it predicts: noise, v or velocity. No batch of samples is smaller than `min_batch_size`.
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

    def unconditional(self, count: int) -> Tensor:
        """Return the null label, or the number of no prompt, for so many samples, int64 [count]."""

    def conditioning(self, labels_or_prompts: Tensor) -> Any:
        """Return what `predict` needs of labels or prompts [B], guidance rows included, once a run, on the device."""

    def predict(self, x: Tensor, t: float, conditioning: Any, announce: AnnounceForward) -> Tensor:
        """Return the guided prediction for x [B, ...] at timestep t; call `announce` before each forward.

        On a GPU nothing in it may wait for the device or copy to it, so that the device never runs dry.
        """

    def output(self, x: Tensor, t: float, labels_or_prompts: Tensor) -> Tensor:
        """Return the denoiser's own output for x [B, ...], without guidance, in one forward."""

    def decode(self, x: Tensor) -> Tensor:
        """Decode x [B, ...] to finished samples on the CPU, as `media` writes them."""

    def skeleton(self) -> tuple[nn.Module, Callable[[], Any]]:
        """Return the denoiser on the meta device, and a call that evaluates it for one sample, for counting costs."""


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

    def model_input(self, e: int, state: State) -> Tensor:
        """What the denoiser gets at evaluation e, [B, ...]."""

    def step(self, e: int, state: State, output: Tensor, noise: Noise) -> State:
        """The state after evaluation e, from the prediction `output` [B, ...]; draws `noise` only if it needs any."""

    def sample(self, state: State) -> Tensor:
        """The finished sample [B, ...] of the state after the last evaluation."""


@runtime_checkable
class Diffuses(Solver, Protocol):
    """A solver that can also start at any evaluation from a clean sample, and step on from there."""

    def diffuse(self, clean: Tensor, e: int, noise: Tensor) -> State:
        """The state before evaluation e that the forward process makes of a clean sample and noise, both [B, ...]."""


@runtime_checkable
class KnowsNoise(Solver, Protocol):
    """A solver that tells how noisy its samples are: `noise_to_signal` is sigma / alpha at each evaluation."""

    noise_to_signal: tuple[float, ...]


@runtime_checkable
class Supports(Protocol):
    """A policy or predictor that cannot be used on every trajectory or model, and says so before the run."""

    def supports(self, trajectory: Trajectory, model: Model) -> str | None:
        """Return None where it can be used; otherwise one line that says why not: the point is then skipped."""


class PromptList(Protocol):
    """A list of prompts, of which each seed has one; `texts` are all of them."""

    texts: tuple[str, ...]

    def captions(self, seeds: Sequence[int]) -> list[str]:
        """Return the prompt of each seed."""


@runtime_checkable
class Prompted(Protocol):
    """A model that makes its samples from prompts, some of which it keeps for calibration and training."""

    prompts: PromptList


@runtime_checkable
class CountsPipeline(Protocol):
    """A model that counts what runs beside its denoiser: `pipeline` gives MACs per sample by component."""

    @property
    def pipeline(self) -> Mapping[str, Macs]: ...


@runtime_checkable
class MakesClips(Protocol):
    """A model of audio; `clip_shape` is the number of channels and of frames of its clips."""

    clip_shape: tuple[int, int]


@runtime_checkable
class LoadsDecoder(Protocol):
    """A model whose `decoder` is loaded at its first use, apart from the denoiser."""

    decoder: Any


@runtime_checkable
class LoadsText(Protocol):
    """A model whose text encoder `text` is loaded at its first use, apart from the denoiser."""

    text: Any


@runtime_checkable
class HasRate(Protocol):
    """Media, a metric or an encoder for clips of one sample rate; `rate` is in Hz."""

    rate: int


@runtime_checkable
class HasChannels(Protocol):
    """A metric or an encoder for clips of one number of `channels`."""

    channels: int


@runtime_checkable
class NeedsFrames(Protocol):
    """A metric or an encoder that needs clips of at least `shortest` frames."""

    shortest: int


@runtime_checkable
class PerSample(Protocol):
    """A metric that computes its features of every sample itself, instead of keeping its one input."""

    def per_sample(self, *inputs: Tensor) -> Tensor:
        """Return the features [B, ...] of a batch from the inputs that the metric names, each [B, ...]."""


@runtime_checkable
class FitsReal(Protocol):
    """A metric that compares with real samples, whose features it takes before it scores."""

    def fit(self, rows: Any) -> None:
        """Take the features [M, ...] of real samples; raises ValueError where they are no good."""


@runtime_checkable
class HasReferenceFile(Protocol):
    """A metric that compares with published statistics; `reference_file` is their path, None for real samples."""

    reference_file: str | None


@runtime_checkable
class Digested(Protocol):
    """A plug-in that rests on data; `digest` is the sha256 of it, and part of what identifies the plug-in."""

    digest: str | None


@runtime_checkable
class DigestsParameters(Protocol):
    """A plug-in of which `digested` names the parameters that are files or tables: its `digest` stands for them."""

    digested: tuple[str, ...]


@runtime_checkable
class GainedParameters(Protocol):
    """A plug-in with parameters that came after its first results; `gained` has the values that ids leave out."""

    gained: Mapping[str, Any]
