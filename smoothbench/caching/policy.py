"""What a caching method is: it plans a schedule, or decides at run time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from smoothbench.caching.schedule import Schedule
from smoothbench.caching.sites import Site

if TYPE_CHECKING:
    from smoothbench.caching.curves import ErrorCurves


@dataclass(frozen=True)
class Trajectory:
    """What a static method plans on: the sites with their costs, and the step coordinates.

    `rest_macs` and `rest_macs_linear` are what an evaluation costs beside the sites, per sample.
    """

    sites: tuple[Site, ...]
    coordinates: tuple[float, ...]
    rest_macs: int = 0
    rest_macs_linear: int = 0

    @property
    def evals(self) -> int:
        """The number of model evaluations."""
        return len(self.coordinates)

    def macs(self, calls: Mapping[str, float], linear: bool = False) -> float:
        """Cost per sample of a trajectory in which each site was computed at so many evaluations.

        A whole number where these are.
        """
        if linear:
            return self.evals * self.rest_macs_linear + sum(s.macs_linear * calls[s.name] for s in self.sites)
        return self.evals * self.rest_macs + sum(s.macs * calls[s.name] for s in self.sites)

    def share(self, schedule: Schedule) -> float:
        """The schedule's cost over that of computing everything, attention products included."""
        full = dict.fromkeys(schedule.sites, self.evals)
        return self.macs(schedule.calls()) / self.macs(full)


class Policy(Protocol):
    """A static caching method: `plan` gives its schedule, from error curves where it needs them."""

    needs_curves: bool

    def plan(self, trajectory: Trajectory, curves: "ErrorCurves | None" = None) -> Schedule: ...


class Lessons(Protocol):
    """What a method that learns is taught with: consecutive evaluations of an uncached denoiser.

    `about` says where they come from, for what is learned.
    """

    denoiser: nn.Module
    trajectory: Trajectory
    about: Mapping[str, Any]

    def window(self, start: int, length: int, generator: torch.Generator) -> Sequence[Callable[[], Tensor]]:
        """Forwards at evaluations start, start + 1, ... of one batch, each to be called at will."""
        ...

    def keep(self, checkpoint: str, state: bytes) -> None:
        """Write the state of a training to the file of its checkpoint, whole or not at all."""
        ...


@dataclass(frozen=True)
class Evaluation:
    """What a dynamic method may look at before an evaluation.

    `hidden_states` is the denoiser's input (the whole batch); `branch` tells apart the forwards of
    one evaluation; `evals` is None where nobody said how many there will be.
    """

    e: int
    evals: int | None
    coordinate: float | None
    branch: int | str
    hidden_states: Tensor
    sites: Sequence[Site]


@runtime_checkable
class DynamicPolicy(Protocol):
    """A method that decides at run time, on the whole batch: one bit for each site.

    The engine computes every site at e = 0 whatever `decide` says; `decide` is called there too,
    so that the policy can start its state afresh.
    """

    def decide(self, evaluation: Evaluation) -> Sequence[bool]: ...
