"""Compose caching methods: a method around another one, which computes some evaluations whatever that one decides."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
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
MORE = ("choose_probes", "decide_after", "observe", "supports")  # and may have these


@dataclass
class Composed:
    """A composed method computes everything at some evaluations, and leaves the others to the method `policy`.

    It is of the same kind as that one: it plans before the run, plans on the calibration batch, or decides in the run,
    with or without probes. Its knob is that of `policy`. Raises ValueError where `policy` is no caching method.
    """

    policy: Any

    def __post_init__(self) -> None:
        if not any(hasattr(self.policy, kind) for kind in KINDS):
            raise ValueError(
                f"{type(self).__name__} takes a caching method as its policy, not {self.policy!r:.60}"
            )
        # protocols tell kinds of methods by what an object has: it gets what the method inside has, and nothing else
        for name in (*KINDS, *MORE):
            if hasattr(self.policy, name):
                setattr(self, name, getattr(self, f"_{name}"))
        if hasattr(self.policy, "needs_curves"):
            self.needs_curves = self.policy.needs_curves
        if hasattr(self.policy, "knob"):
            self.knob, self.settings = f"policy.{self.policy.knob}", self._settings

    def computes(self, e: int, evals: int | None) -> bool:
        """Whether everything is computed at an evaluation, of `evals` in all (None if unknown)."""
        raise NotImplementedError

    def described(self) -> dict[str, Any]:
        """What the metadata of a schedule say of it."""
        raise NotImplementedError

    def seen(self, evaluation: Evaluation) -> Evaluation | None:
        """An evaluation as the method inside sees it, None where it is not asked."""
        return None if self.computes(evaluation.e, evaluation.evals) else evaluation

    def choose_sites(self, denoiser: nn.Module) -> tuple[Site, ...]:
        """Return the sites of the method inside."""
        return sites_of(self.policy, denoiser)

    def _settings(self, trajectory: Trajectory, curves: ErrorCurves | None = None) -> Settings:
        return settings_of(self.policy, trajectory, curves)

    def _supports(self, trajectory: Trajectory, model: Any) -> str | None:
        reason: str | None = self.policy.supports(trajectory, model)
        return reason

    def _plan(self, trajectory: Trajectory, curves: ErrorCurves | None = None) -> Schedule:
        return self._more_computed(self.policy.plan(trajectory, curves))

    def _plan_on(self, trajectory: Trajectory, batch: BatchRuns) -> Schedule:
        return self._more_computed(self.policy.plan_on(trajectory, batch))

    def _more_computed(self, schedule: Schedule) -> Schedule:
        everything = (True,) * len(schedule.sites)
        computed = tuple(
            everything if self.computes(e, schedule.evals) else bits
            for e, bits in enumerate(schedule.computed)
        )
        return replace(schedule, computed=computed, meta={**schedule.meta, **self.described()})

    def _decide(self, evaluation: Evaluation) -> Sequence[bool]:
        return self._asked(evaluation, self.policy.decide)

    def _choose_probes(self, denoiser: nn.Module) -> Sequence[Probe]:
        probes: Sequence[Probe] = self.policy.choose_probes(denoiser)
        return probes

    def _decide_after(self, probe: Probe, evaluation: Evaluation, value: Any) -> Sequence[bool]:
        return self._asked(evaluation, lambda seen: self.policy.decide_after(probe, seen, value))

    def _asked(self, evaluation: Evaluation, ask: Callable[[Evaluation], Sequence[bool]]) -> Sequence[bool]:
        seen = self.seen(evaluation)
        bits = None if seen is None else ask(seen)
        everything = seen is None or seen.e == 0 or self.computes(evaluation.e, evaluation.evals)
        return [True] * len(evaluation.sites) if bits is None or everything else bits

    def _observe(
        self, site: Site, evaluation: Evaluation, predicted: Callable[[], Any], computed: Any
    ) -> None:
        if (seen := self.seen(evaluation)) is not None:
            self.policy.observe(site, seen, predicted, computed)


@dataclass
class Warmup(Composed):
    """A warm-up computes everything at the first evaluations of a run, before another method, `policy`, may skip.

    For a method that decides in the run, the last evaluation of the warm-up is the first of its run, e = 0: it
    remembers that one as computed. Raises ValueError for a number `first` of evaluations below 0.
    """

    first: int = 3
    _start: tuple[int, int | str] | None = field(default=None, init=False, repr=False, compare=False)
    name = "warmup"
    version = 1

    def __post_init__(self) -> None:
        if not isinstance(self.first, int) or self.first < 0:
            raise ValueError(f"a warm-up's first must be a whole number from 0, not {self.first}")
        super().__post_init__()

    def computes(self, e: int, evals: int | None) -> bool:
        """Whether an evaluation belongs to the warm-up."""
        return e < self.first

    def described(self) -> dict[str, Any]:
        """What the metadata of a schedule say of it."""
        return {"warmup": self.first}

    def seen(self, evaluation: Evaluation) -> Evaluation | None:
        """An evaluation as the method inside sees it: the last of the warm-up as its first; None before that one."""
        if evaluation.starts_run:
            self._start = None
        if evaluation.e < self.first - 1:
            return None
        if self._start is None:
            self._start = (evaluation.e, evaluation.forward_index)
        e, forward_index = self._start
        if evaluation.e > e:
            return evaluation
        return replace(evaluation, e=0, starts_run=evaluation.forward_index == forward_index)


@dataclass
class LastComputed(Composed):
    """A method with its last evaluations computed: at all others, `policy` decides.

    Forecasts are worst at the end of a run, and nothing comes after it to mend them. A method that decides in the run
    must know how many evaluations there are. Raises ValueError for a number `last` of evaluations below 0.
    """

    last: int = 2
    name = "last_computed"
    version = 1

    def __post_init__(self) -> None:
        if not isinstance(self.last, int) or self.last < 0:
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
