"""Compose caching methods: a method around another one, which computes some evaluations whatever that one decides."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from smoothbench.caching.batch_runs import BatchRuns
from smoothbench.caching.error_curves import ErrorCurves
from smoothbench.caching.knobs import Settings, settings_of
from smoothbench.caching.policy import Evaluation
from smoothbench.caching.probes import Probe
from smoothbench.caching.schedule import Schedule
from smoothbench.caching.sites import Site
from smoothbench.caching.sites_of_policy import sites_of
from smoothbench.caching.trajectory import Trajectory

KINDS = ("plan", "plan_on", "decide")  # a method has one of these
CHANGED = (*KINDS, "decide_after", "observe", "fitted")  # what a composed method does in its own way
AS_IT_IS = ("needs_curves", "choose_probes", "fit_on", "is_fitted", "supports")


@dataclass
class Composed(ABC):
    """A composed method computes everything at some evaluations, and leaves the others to the method `policy`.

    It is of the same kind as that one: it plans before the run, plans on the calibration batch, or decides in the run,
    where `policy` is told that the evaluation is computed (`is_forced`). Its knob is that of `policy`. Raises
    ValueError where `policy` is no caching method.
    """

    policy: Any

    def __post_init__(self) -> None:
        if isinstance(self.policy, type) or not any(hasattr(self.policy, kind) for kind in KINDS):
            raise ValueError(
                f"{type(self).__name__} takes a caching method as its policy, not {self.policy!r:.60}"
            )
        # kinds of methods are told apart by what an object has: it gets what the method inside has, and nothing else
        for name in CHANGED:
            if hasattr(self.policy, name):
                setattr(self, name, getattr(self, f"_{name}"))
        for name in AS_IT_IS:
            if hasattr(self.policy, name):
                setattr(self, name, getattr(self.policy, name))
        if hasattr(self.policy, "knob"):
            self.knob, self.settings = f"policy.{self.policy.knob}", self._settings

    @abstractmethod
    def computes(self, e: int, evals: int | None) -> bool:
        """Whether everything is computed at an evaluation, of `evals` in all (None if unknown)."""

    @abstractmethod
    def described(self) -> dict[str, Any]:
        """What the metadata of a schedule say of it."""

    def choose_sites(self, denoiser: nn.Module) -> tuple[Site, ...]:
        """Return the sites of the method inside."""
        return sites_of(self.policy, denoiser)

    def _settings(self, trajectory: Trajectory, curves: ErrorCurves | None = None) -> Settings:
        return settings_of(self.policy, trajectory, curves)

    def _fitted(self, numbers: Mapping[str, Any]) -> "Composed":
        return replace(self, policy=self.policy.fitted(numbers))

    def _plan(self, trajectory: Trajectory, curves: ErrorCurves | None = None) -> Schedule:
        return self._more_computed(self.policy.plan(trajectory, curves))

    def _plan_on(self, trajectory: Trajectory, batch: BatchRuns) -> Schedule:
        return self._more_computed(self.policy.plan_on(trajectory, batch))

    def _more_computed(self, schedule: Schedule) -> Schedule:
        evals = schedule.evals
        if schedule.weights is not None:
            raise ValueError(
                f"{type(self).__name__} computes more than the schedule whose weights it was given: fit them to it, or "
                "take the schedule without its weights"
            )
        computed = tuple(
            (True,) * len(bits) if self.computes(e, evals) else bits
            for e, bits in enumerate(schedule.computed)
        )
        return replace(schedule, computed=computed, meta={**schedule.meta, **self.described()})

    def _decide(self, evaluation: Evaluation) -> Sequence[bool]:
        seen = self._seen(evaluation)
        bits: Sequence[bool] = self.policy.decide(seen)
        return [True] * len(bits) if seen.is_forced else bits

    def _decide_after(self, probe: Probe, evaluation: Evaluation, value: Any) -> Sequence[bool]:
        seen = self._seen(evaluation)
        bits: Sequence[bool] = self.policy.decide_after(probe, seen, value)
        return [True] * len(bits) if seen.is_forced else bits

    def _observe(
        self, site: Site, evaluation: Evaluation, predicted: Callable[[], Any], computed: Any
    ) -> Any:
        seen = self._seen(evaluation)
        used = self.policy.observe(site, seen, predicted, computed)
        return None if seen.is_forced else used

    def _seen(self, evaluation: Evaluation) -> Evaluation:
        """An evaluation as the method inside sees it."""
        if self.computes(evaluation.e, evaluation.evals):
            return replace(evaluation, is_forced=True)
        return evaluation


@dataclass
class Warmup(Composed):
    """A warm-up computes everything at the first evaluations of a run, before another method, `policy`, may skip.

    Raises ValueError for a number `first` of evaluations below 0.
    """

    first: int = 3
    name = "warmup"
    version = 1

    def __post_init__(self) -> None:
        if type(self.first) is not int or self.first < 0:
            raise ValueError(f"a warm-up's first must be a whole number from 0, not {self.first}")
        super().__post_init__()

    def computes(self, e: int, evals: int | None) -> bool:
        """Whether an evaluation belongs to the warm-up."""
        return e < self.first

    def described(self) -> dict[str, Any]:
        """What the metadata of a schedule say of it."""
        return {"warmup": self.first}


@dataclass
class LastComputed(Composed):
    """The last evaluations of a run are computed; at all others another method, `policy`, decides.

    Forecasts are worst at the end of a run, and nothing comes after it to mend them. Around a method that decides in
    the run it must know how many evaluations there are. Raises ValueError for a number `last` of evaluations below 0.
    """

    last: int = 2
    name = "last_computed"
    version = 1

    def __post_init__(self) -> None:
        if type(self.last) is not int or self.last < 0:
            raise ValueError(f"the number of last evaluations must be a whole number from 0, not {self.last}")
        super().__post_init__()

    def computes(self, e: int, evals: int | None) -> bool:
        """Whether an evaluation is one of the last; ValueError where nobody knows how many there are."""
        if evals is None:
            raise ValueError("LastComputed must know the number of evaluations: cached(..., evals=...)")
        return e >= evals - self.last

    def described(self) -> dict[str, Any]:
        """What the metadata of a schedule say of it."""
        return {"last_computed": self.last}
