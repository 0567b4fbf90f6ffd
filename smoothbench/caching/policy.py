"""The protocols of caching methods: static ones plan a schedule in advance, dynamic ones decide at run time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

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
    input, [B, ...].
    """

    e: int
    evals: int | None
    coordinate: float | None
    forward_index: int | str
    hidden_states: Tensor
    sites: Sequence[Site]


@runtime_checkable
class DynamicPolicy(Protocol):
    """A caching method that decides at run time, for the whole batch: True for each site that is to be computed.

    At e = 0 the engine computes every site whatever `decide` returns; it calls `decide` there too, so that the
    policy can reset its state.
    """

    def decide(self, evaluation: Evaluation) -> Sequence[bool]: ...
