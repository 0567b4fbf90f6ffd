"""The protocols of caching methods: static ones plan a schedule in advance, dynamic ones decide at run time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from smoothbench.caching.batch_runs import BatchRuns
from smoothbench.caching.probes import Probe
from smoothbench.caching.schedule import Schedule
from smoothbench.caching.sites import Site
from smoothbench.caching.trajectory import Trajectory

if TYPE_CHECKING:
    from smoothbench.caching.error_curves import ErrorCurves


class Policy(Protocol):
    """A static caching method: it plans a schedule before sampling, from error curves if it needs them."""

    needs_curves: bool

    def plan(self, trajectory: Trajectory, curves: "ErrorCurves | None" = None) -> Schedule: ...


@runtime_checkable
class PlansOnBatch(Protocol):
    """A static caching method that plans on runs of the calibration batch: recorded ones, or rollouts of candidates."""

    def plan_on(self, trajectory: Trajectory, batch: BatchRuns) -> Schedule:
        """Plan a schedule; what `batch.record` and `batch.rollout` cost is counted."""
        ...


@runtime_checkable
class ChoosesSites(Protocol):
    """A caching method that does not decide on all branches, but on sites that it chooses, of any level."""

    def choose_sites(self, denoiser: nn.Module) -> tuple[Site, ...]:
        """Return the sites of a denoiser to decide on, as `find_sites` gives them."""
        ...


class Teacher(Protocol):
    """The training data of a method that learns: consecutive evaluations of an uncached denoiser.

    `provenance` says where they come from; a trained file keeps it.
    """

    denoiser: nn.Module
    trajectory: Trajectory
    provenance: Mapping[str, Any]

    def window(self, start: int, length: int, generator: torch.Generator) -> Sequence[Callable[[], Tensor]]:
        """Forwards of one batch at evaluations start, start + 1, ...; each runs when it is called."""
        ...

    def save_checkpoint(self, checkpoint: str, state: bytes) -> None:
        """Write the state of a training to the file of its checkpoint, whole or not at all."""
        ...


@dataclass(frozen=True)
class Evaluation:
    """The information that a dynamic method has before an evaluation.

    `e` is the evaluation's number and `coordinate` its timestep (None if unknown), of `evals` in all (None if
    unknown); `forward_index` numbers or names the forwards of one evaluation; `hidden_states` is the denoiser's
    input, [B, ...]. `starts_run` says whether it is the first forward of a sampling run: a policy that remembers
    something forgets it there. `is_forced` says whether every site is computed whatever the policy decides, as at
    e = 0 and where a composed method says so: a policy that remembers what it decided remembers that.
    """

    e: int
    evals: int | None
    coordinate: float | None
    forward_index: int | str
    hidden_states: Tensor
    sites: Sequence[Site]
    starts_run: bool = False
    is_forced: bool = False


@runtime_checkable
class DynamicPolicy(Protocol):
    """A caching method that decides at run time, for the whole batch: True for each site that is to be computed.

    At e = 0 the engine computes every site whatever `decide` returns; it calls `decide` there too, so that the
    policy can reset its state. Where guidance takes two forwards, each is decided on by itself, by `forward_index`.
    """

    def decide(self, evaluation: Evaluation) -> Sequence[bool]: ...


@runtime_checkable
class Probing(DynamicPolicy, Protocol):
    """A dynamic method that looks at probes while a forward runs, and decides again on what has not run yet.

    `decide` must leave every site around a probe computed, and a site whose output is a probe. After a probe the rest
    of the forward follows the new bits. Sites that have run keep theirs; a site around the probe, which is under way,
    may be given up: it is then reused, and what ran of it, the approach to the probe, is counted beside the sites.
    None that the method decides on may have run inside it. It is left by an exception, so a hook of another library
    between it and the probe sees no end of its module: such hooks are refused.
    """

    def choose_probes(self, denoiser: nn.Module) -> Sequence[Probe]:
        """Return the places of a denoiser to look at: outputs of the sites decided on, or inputs of any site."""
        ...

    def decide_after(self, probe: Probe, evaluation: Evaluation, value: Any) -> Sequence[bool]:
        """Return a bit for each site, once a probe is reached: True where it is to be computed.

        Args: value, what the probe gives: an input [B, ...]; an output as the site returns it, of a span a tuple of
        what it adds to each stream, the main one (hidden_states) first. At e = 0 the bits change nothing.
        """
        ...


@runtime_checkable
class Observing(DynamicPolicy, Protocol):
    """A dynamic method that is shown every computed output of the sites that it decides on."""

    def observe(
        self, site: Site, evaluation: Evaluation, predicted: Callable[[], Any], computed: Any
    ) -> bool | None:
        """See what a site gave, and, by calling `predicted`, what the predictor would have given in its place.

        `predicted()` is None where nothing was kept yet; it costs nothing unless it is called. Of a span whose output
        was computed for a check alone return False: it is counted, but the predicted one takes its place and stays.
        """
        ...


@runtime_checkable
class FitsOnBatch(DynamicPolicy, Protocol):
    """A dynamic method whose rule has numbers that are fitted to the calibration batch before it can decide.

    The numbers hold for every value of the parameter that `knob` names. `is_fitted` says whether it has them already.
    """

    knob: ClassVar[str]

    @property
    def is_fitted(self) -> bool: ...

    def fit_on(self, trajectory: Trajectory, batch: BatchRuns) -> Mapping[str, Any]:
        """Return the numbers, as data that JSON can hold; what `batch.record` costs is counted."""
        ...

    def fitted(self, numbers: Mapping[str, Any]) -> DynamicPolicy:
        """Return the method with these numbers, as `fit_on` gave them; ValueError where they are none of its own."""
        ...
