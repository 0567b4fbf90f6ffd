"""The engine: runs any schedule or dynamic policy on any denoiser, and leaves no trace."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from smoothbench.caching.adaln import whole_block
from smoothbench.caching.clock import Clock, Tick
from smoothbench.caching.intercept import Forward, Wrap, intercepted
from smoothbench.caching.policy import DynamicPolicy, Evaluation, Policy, Trajectory
from smoothbench.caching.predictor import Predictor, predictor_from
from smoothbench.caching.rivals import refuse_other_caches
from smoothbench.caching.run import Decide, Run
from smoothbench.caching.schedule import Rows, Schedule
from smoothbench.caching.sites import Site, find_sites
from smoothbench.caching.uncompiled import uncompiled, written
from smoothbench.caching.visits import Visits
from smoothbench.caching.watch import watched


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
    with its own history. A static policy that needs no curves plans for `evals` evaluations; one that decides at run
    time needs them where runs have a single evaluation, which alone does not show whether its timestep rises or falls.
    Raises ValueError for a schedule that does not fit the denoiser or the run, for a denoiser that is
    cached by another library, and on exit where it never ran; RuntimeError where contexts nest. Warns
    where nothing was skipped though a policy was to, and that a compiled denoiser runs uncompiled.
    """
    handle, denoiser = denoiser, written(denoiser)
    refuse_other_caches(denoiser)
    sites, name = find_sites(denoiser), type(denoiser).__name__
    plan = _planned(sites, schedule_or_policy, evals)
    clock = Clock(denoiser.forward, plan.evals, calls_per_eval)
    visits = Visits(sites, name)
    run = Run(sites, plan.decide, plan.may_skip, predictor_from(predictor), clock, visits, plan.coordinates)
    wraps = _wraps(denoiser, run)
    with ExitStack() as stack:
        stack.callback(run.forget)
        stack.enter_context(intercepted(denoiser, wraps))
        stack.enter_context(uncompiled(handle, [module for module, _ in wraps]))
        stack.enter_context(watched(denoiser, run.begin, run.end))
        yield run
    if not run.forwards:
        raise ValueError(f"this {name} ran no forward: pass the very module that the pipeline calls")
    clock.finish()
    if run.degenerate and not plan.baseline:
        warnings.warn("the cache policy skipped nothing: this run cost as much as no cache", stacklevel=3)


@dataclass(frozen=True)
class _Plan:
    """How each evaluation is decided, and what is known of it before; `baseline`: nothing is to be skipped."""

    decide: Decide
    evals: int | None
    may_skip: Sequence[bool]
    baseline: bool = False
    coordinates: Sequence[float] | None = None


def _planned(sites: tuple[Site, ...], policy: Schedule | Policy | DynamicPolicy, evals: int | None) -> _Plan:
    if isinstance(policy, DynamicPolicy):
        return _Plan(_dynamic(sites, policy, evals), evals, [True] * len(sites))
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
    return _Plan(lambda tick, _: rows[tick.e], policy.evals, may_skip, baseline, policy.coordinates)


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
    """Blocks, norms and branches: all read the row that was set when the denoiser's forward began.

    Norms and blocks matter only where something may be skipped.
    """
    wraps = whole_block(denoiser, run)
    for i, site in enumerate(run.sites):
        wraps.append((denoiser.get_submodule(site.path), partial(_branch, run, i)))
        if site.norm is not None and run.may_skip[i]:
            norm = denoiser.get_submodule(site.norm)
            wraps.append((norm, partial(_norm, run, i, _is_plain(norm))))
    return wraps


def _branch(run: Run, i: int, original: Forward) -> Forward:
    def forward(*args: Any, **kwargs: Any) -> Any:
        run.visits.visit(i)
        if run.row[i]:
            output = original(*args, **kwargs)
            run.keep(i, output)
            return output
        return run.predict(i)

    return forward


def _is_plain(norm: nn.Module) -> bool:
    """Whether it gives the branch's input alone: others also give gates, which stay fresh."""
    return isinstance(norm, nn.LayerNorm | nn.RMSNorm) or type(norm).__name__ == "RMSNorm"


def _norm(run: Run, i: int, plain: bool, original: Forward) -> Forward:
    """Where the branch is reused nobody reads its input: a plain norm is left out, another sees one token."""

    def forward(x: Tensor, *args: Any, **kwargs: Any) -> Any:
        if run.row[i]:
            return original(x, *args, **kwargs)
        return x[:, :1] if plain else original(x[:, :1], *args, **kwargs)

    return forward
