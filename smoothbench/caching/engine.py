"""The engine: runs any schedule or dynamic policy on any denoiser, and leaves no trace."""

import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from smoothbench.caching.adaln import whole_block
from smoothbench.caching.clock import Clock, Tick, first_tensor
from smoothbench.caching.intercept import Forward, Wrap, intercepted
from smoothbench.caching.policy import DynamicPolicy, Evaluation, Policy, Trajectory
from smoothbench.caching.predictor import Predictor, predictor_from
from smoothbench.caching.schedule import Rows, Schedule
from smoothbench.caching.sites import Site, find_sites

Decide = Callable[[Tick, Tensor], Sequence[bool]]


class Run:
    """What happens inside `cached(...)`: counts, and the state of the sampling run under way."""

    def __init__(
        self,
        sites: tuple[Site, ...],
        decide: Decide,
        may_skip: Sequence[bool],
        predictor: Predictor,
        clock: Clock,
    ) -> None:
        self.sites, self.may_skip = sites, may_skip
        self.row: Sequence[bool] = [True] * len(sites)
        self.realised: list[tuple[bool, ...]] = []  # rows of the last run, of its first branch
        self.forwards = 0
        self.counts = [0] * len(sites)
        self.cache_bytes = 0
        self.clock, self._decide, self._predictor = clock, decide, predictor
        self._now = 0.0
        self._histories: dict[int | str, list[deque[tuple[float, Tensor]]]] = {}
        self._history: list[deque[tuple[float, Tensor]]] = []

    def step(self, e: int, coordinate: float | None = None, branch: int | str = 0) -> None:
        """Announce the next forward: evaluation `e`, the step coordinate, and which of its forwards."""
        self.clock.announce(e, coordinate, branch)

    @property
    def calls(self) -> dict[str, int]:
        """Executed original forwards of each site."""
        return {site.name: n for site, n in zip(self.sites, self.counts, strict=True)}

    @property
    def skipped_share(self) -> float:
        """The share of branch computations that were reused so far."""
        return 1 - sum(self.counts) / (self.forwards * len(self.sites)) if self.forwards else 0.0

    @property
    def degenerate(self) -> bool:
        """Something ran, and nothing was skipped."""
        return self.forwards > 0 and self.skipped_share == 0

    def begin(self, tick: Tick, hidden_states: Tensor) -> None:
        """Make ready for one forward of the denoiser."""
        if tick.starts:
            self.forget()
            self.realised = []
        if tick.branch not in self._histories:
            depth = self._predictor.depth
            self._histories[tick.branch] = [deque(maxlen=depth) for _ in self.sites]
        self._history = self._histories[tick.branch]
        self._now = self._coordinate(tick)
        self.row = self._decide(tick, hidden_states)
        if tick.branch == next(iter(self._histories)):
            self.realised.append(tuple(map(bool, self.row)))
        self.forwards += 1

    def keep(self, i: int, output: Tensor) -> None:
        """Remember a computed output."""
        if not isinstance(output, Tensor):
            raise ValueError(
                f"{self.sites[i].name} returns a {type(output).__name__}: only single tensors can be kept"
            )
        self.counts[i] += 1
        self._history[i].appendleft((self._now, output))

    def predict(self, i: int) -> Tensor:
        """What stands in for the output of site `i`."""
        return self._predictor(self._history[i], self._now)

    def forget(self) -> None:
        """Drop all kept outputs, noting how many bytes they were."""
        kept = [t for histories in self._histories.values() for history in histories for _, t in history]
        self.cache_bytes = max(self.cache_bytes, sum(t.numel() * t.element_size() for t in kept))
        self._histories, self._history = {}, []

    def _coordinate(self, tick: Tick) -> float:
        if self._predictor.coordinate == "index":
            return float(tick.e)
        if tick.coordinate is None:
            raise ValueError("this predictor works in timesteps: announce them by run.step(e, coordinate)")
        return tick.coordinate


@contextmanager
def cached(
    denoiser: nn.Module,
    schedule_or_policy: Schedule | Policy | DynamicPolicy,
    *,
    predictor: str | Predictor = "reuse",
    evals: int | None = None,
    calls_per_eval: int = 1,
) -> Iterator[Run]:
    """Within the context the denoiser follows a schedule or policy; after it, it is the original.

    `calls_per_eval` forwards make one evaluation (guidance in two calls, two-stage solvers), each
    with its own history. A static policy that needs no curves plans for `evals` evaluations.
    Raises ValueError for a schedule that does not fit the denoiser or the run, and RuntimeError
    where contexts nest. Warns where nothing was skipped though a policy was to.
    """
    sites = find_sites(denoiser)
    decide, evals, may_skip, baseline = _decision(sites, schedule_or_policy, evals)
    clock = Clock(denoiser.forward, evals, calls_per_eval)
    run = Run(sites, decide, may_skip, predictor_from(predictor), clock)
    with intercepted(denoiser, _wraps(denoiser, run)):
        try:
            yield run
        finally:
            run.forget()
    clock.finish()
    if run.degenerate and not baseline:
        warnings.warn("the cache policy skipped nothing: this run cost as much as no cache", stacklevel=3)


def _decision(
    sites: tuple[Site, ...], policy: Schedule | Policy | DynamicPolicy, evals: int | None
) -> tuple[Decide, int | None, Sequence[bool], bool]:
    """The row of each evaluation, how many there are, the sites that may be skipped, and if none is to be."""
    if isinstance(policy, DynamicPolicy):
        return _dynamic(sites, policy, evals), evals, [True] * len(sites), False
    if not isinstance(policy, Schedule):
        if policy.needs_curves:
            raise ValueError(
                f"{type(policy).__name__} needs error curves: pass the schedule that its plan() gives"
            )
        if evals is None:
            raise ValueError(
                f"{type(policy).__name__} must know the number of evaluations: cached(..., evals=...)"
            )
        policy = policy.plan(Trajectory(sites, tuple(map(float, range(evals)))))
    if evals not in (None, policy.evals):
        raise ValueError(f"the schedule has {policy.evals} evaluations, but the run has {evals}")
    rows = aligned(sites, policy)
    may_skip = [not all(column) for column in zip(*rows, strict=True)]
    baseline = policy.meta.get("method") == "none" and not any(may_skip)
    return (lambda tick, _: rows[tick.e]), policy.evals, may_skip, baseline


def aligned(sites: tuple[Site, ...], schedule: Schedule) -> Rows:
    """The schedule's rows in the order of the denoiser's sites; sites it does not name are computed."""
    have = {site.name for site in sites}
    if unknown := [name for name in schedule.sites if name not in have]:
        raise ValueError(
            f"the schedule names site {unknown[0]}, but the denoiser has {sites[0].name} to {sites[-1].name}"
        )
    column = {name: i for i, name in enumerate(schedule.sites)}
    return tuple(
        tuple(row[column[s.name]] if s.name in column else True for s in sites) for row in schedule.computed
    )


def _dynamic(sites: tuple[Site, ...], policy: DynamicPolicy, evals: int | None) -> Decide:
    def decide(tick: Tick, hidden_states: Tensor) -> Sequence[bool]:
        asked = policy.decide(Evaluation(tick.e, evals, tick.coordinate, tick.branch, hidden_states, sites))
        if len(asked) != len(sites):
            raise ValueError(f"{type(policy).__name__} decided on {len(asked)} of {len(sites)} sites")
        return [True] * len(sites) if tick.e == 0 else asked

    return decide


def _wraps(denoiser: nn.Module, run: Run) -> list[tuple[nn.Module, Wrap]]:
    """The denoiser first, then blocks, norms and branches: all read the row that the denoiser set.

    Norms and blocks matter only where something may be skipped.
    """
    wraps: list[tuple[nn.Module, Wrap]] = [(denoiser, lambda original: _denoiser(run, original))]
    wraps += whole_block(denoiser, run)
    for i, site in enumerate(run.sites):
        wraps.append((denoiser.get_submodule(site.path), _bind(_branch, run, i)))
        if site.norm is not None and run.may_skip[i]:
            wraps.append((denoiser.get_submodule(site.norm), _bind(_norm, run, i)))
    return wraps


def _bind(make: Callable[[Run, int, Forward], Forward], run: Run, i: int) -> Wrap:
    return lambda original: make(run, i, original)


def _denoiser(run: Run, original: Forward) -> Forward:
    def forward(*args: Any, **kwargs: Any) -> Any:
        try:
            run.begin(run.clock.enter(args, kwargs), first_tensor(args, kwargs))
            return original(*args, **kwargs)
        except BaseException:
            run.clock.broke()
            raise

    return forward


def _branch(run: Run, i: int, original: Forward) -> Forward:
    def forward(*args: Any, **kwargs: Any) -> Any:
        if run.row[i]:
            output = original(*args, **kwargs)
            run.keep(i, output)
            return output
        return run.predict(i)

    return forward


def _norm(run: Run, i: int, original: Forward) -> Forward:
    """Where the branch is skipped its norm sees one token: modulation stays fresh, the rest is saved."""

    def forward(x: Tensor, *args: Any, **kwargs: Any) -> Any:
        return original(x if run.row[i] else x[:, :1], *args, **kwargs)

    return forward
