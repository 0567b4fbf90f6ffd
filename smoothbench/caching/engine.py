"""The engine: runs any schedule or dynamic policy on any denoiser, and restores the denoiser afterwards."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from smoothbench.caching.binding import predictor_of
from smoothbench.caching.decisions import Decisions
from smoothbench.caching.dynamic_run import DynamicRun
from smoothbench.caching.evaluation_clock import Clock
from smoothbench.caching.fast import fast_forward, followed_forward
from smoothbench.caching.fingerprint import refuse_or_warn_if_changed
from smoothbench.caching.foreign_caches import refuse_other_caches
from smoothbench.caching.foreign_changes import noticing_changes
from smoothbench.caching.forward_watch import watched
from smoothbench.caching.hooks import Forward, Wrap, all_parts, compiled_parts, intercepted
from smoothbench.caching.nesting import outer_sites, runs
from smoothbench.caching.policy import DynamicPolicy, PlansOnBatch, Policy
from smoothbench.caching.predictor import Predictor
from smoothbench.caching.run import Decide, Run
from smoothbench.caching.schedule import Computed, Schedule
from smoothbench.caching.site_visits import Visits
from smoothbench.caching.site_wraps import site_wraps
from smoothbench.caching.sites import Site, sites_named
from smoothbench.caching.sites_of_policy import sites_of
from smoothbench.caching.trajectory import Trajectory
from smoothbench.caching.uncompiled import original_module, uncompiled
from smoothbench.caching.weighted_sum import timesteps_of


@contextmanager
def cached(
    denoiser: nn.Module,
    schedule_or_policy: Schedule | Policy | DynamicPolicy,
    *,
    predictor: str | Predictor | None = None,
    evals: int | None = None,
    calls_per_eval: int = 1,
    coordinates: Sequence[float] | None = None,
    fast: bool = True,
) -> Iterator[Run]:
    """Make a denoiser follow a schedule or policy within a context; afterwards it is the original again.

    `calls_per_eval` forwards make one evaluation (guidance in two calls, two-stage solvers), each with its own cached
    outputs. A static policy that needs no curves plans for `evals` evaluations, by default one for each of the
    `coordinates`. Of those that decide at run time the ones that compute the last evaluation must know how many there
    are, and all in runs of one evaluation. `predictor` stands in for what is skipped: by default the schedule's
    weights, or `reuse`. `coordinates` are the timesteps that the denoiser will get, one for each evaluation, by default
    those that the schedule was planned for. Where they are known, a denoiser of a known class, whose modules nobody has
    changed, runs by a forward of the engine's own that leaves out what an evaluation does not need: its results are the
    same within rounding. `fast=False` runs the denoiser's own forward, whose computed branches give the same bits.
    Raises ValueError for a schedule that does not fit the denoiser or the run, for a denoiser that is cached by another
    library, and on exit where it never ran; RuntimeError where contexts nest. Warns where a policy skipped nothing,
    that a compiled denoiser runs uncompiled, and where the denoiser is not the one that a schedule was planned on (see
    `fingerprint`); with the schedule's own weights that is a ValueError.
    """
    handle, denoiser = denoiser, original_module(denoiser)
    refuse_other_caches(denoiser, parts := all_parts(denoiser))  # walked through once, as that takes long
    sites, name = _sites_of(denoiser, schedule_or_policy), type(denoiser).__name__
    plan = _planned(denoiser, sites, schedule_or_policy, _evals(schedule_or_policy, evals, coordinates))
    if isinstance(schedule_or_policy, Schedule):
        weighs = predictor is None and schedule_or_policy.weights is not None
        refuse_or_warn_if_changed(denoiser, schedule_or_policy.meta, weighs, stacklevel=4)
    clock = Clock(denoiser.forward, plan.evals, calls_per_eval)
    timesteps = _timesteps(plan, coordinates) if fast else None
    run = _run(denoiser, sites, plan, predictor_of(schedule_or_policy, predictor), clock, timesteps)
    run.at_start = noticing_changes(denoiser, sites)
    try:
        with watched(denoiser, run.begin, run.end, run.forward), ExitStack() as inside:
            run.intercept = partial(_intercept, inside, handle, denoiser, run)
            if not run.may_be_fast or compiled_parts(denoiser, parts) or handle is not denoiser:
                run.intercept_now()
            yield run
        if not run.forwards:
            raise ValueError(f"this {name} ran no forward: pass the very module that the pipeline calls")
        clock.finish()
        run.check()
    finally:
        run.close()
    if run.degenerate and not plan.baseline:
        warnings.warn("the cache policy skipped nothing: this run cost as much as no cache", stacklevel=3)


def _sites_of(denoiser: nn.Module, policy: Schedule | Policy | DynamicPolicy) -> tuple[Site, ...]:
    """The sites that a schedule names, or that a policy chooses; by default the denoiser's branches."""
    if isinstance(policy, Schedule):
        return sites_named(denoiser, policy.sites)
    return sites_of(policy, denoiser)


@dataclass(frozen=True)
class _Plan:
    """How each evaluation is decided, and what is known before the run.

    `may_skip` says for each site whether it may ever be reused, `baseline` that the policy means to skip nothing;
    `decisions` are those of a policy that decides at run time.
    """

    decide: Decide
    evals: int | None
    may_skip: Sequence[bool]
    baseline: bool = False
    coordinates: Sequence[float] | None = None
    rows: Computed | None = None  # of a static schedule
    decisions: Decisions | None = None


def _run(
    denoiser: nn.Module,
    sites: tuple[Site, ...],
    plan: _Plan,
    predictor: Predictor,
    clock: Clock,
    timesteps: Sequence[float] | None,
) -> Run:
    """The state of what follows the plan, with a fast forward where that is possible and the timesteps are known."""
    visits = Visits(sites, type(denoiser).__name__)
    if plan.decisions is not None and plan.decisions.look_inside:
        dynamic = DynamicRun(sites, plan.decisions, predictor, clock, visits)
        dynamic.refuse_hooks(denoiser)
        dynamic.fast = followed_forward(denoiser, sites, dynamic.probed_inputs, dynamic.predictors, timesteps)
        return dynamic
    planned = timesteps_of(predictor, plan.coordinates)
    run = Run(sites, plan.decide, plan.may_skip, predictor, clock, visits, planned)
    run.fast = fast_forward(denoiser, sites, plan.rows, run.predictors, timesteps, plan.may_skip)
    return run


def _evals(policy: object, evals: int | None, coordinates: Sequence[float] | None) -> int | None:
    """The number of evaluations that a policy is told: by default one for each coordinate."""
    if evals is not None or coordinates is None or isinstance(policy, Schedule):
        return evals
    return len(coordinates)


def _timesteps(plan: _Plan, coordinates: Sequence[float] | None) -> Sequence[float] | None:
    """The timesteps of the run, if they are known; ValueError where there are too many or too few."""
    if coordinates is None:
        return plan.coordinates
    if plan.evals not in (None, len(coordinates)):
        raise ValueError(f"{len(coordinates)} coordinates, but the run has {plan.evals} evaluations")
    return coordinates


def _planned(
    denoiser: nn.Module,
    sites: tuple[Site, ...],
    policy: Schedule | Policy | DynamicPolicy,
    evals: int | None,
) -> _Plan:
    if not isinstance(policy, Schedule):  # asked first, as a protocol takes long to ask
        if isinstance(policy, DynamicPolicy):
            decisions = Decisions(policy, denoiser, sites, evals)
            return _Plan(decisions.before, evals, [True] * len(sites), decisions=decisions)
        if isinstance(policy, PlansOnBatch):
            raise ValueError(
                f"{type(policy).__name__} plans on a calibration batch: pass the schedule that its plan_on() gives"
            )
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
    computed = aligned(sites, policy)
    may_skip = [not all(column) for column in zip(*computed, strict=True)]
    baseline = policy.meta.get("method") == "none" and not any(may_skip)
    return _Plan(
        lambda tick, _: computed[tick.e], policy.evals, may_skip, baseline, policy.coordinates, computed
    )


def aligned(sites: tuple[Site, ...], schedule: Schedule) -> Computed:
    """Return a schedule in the order of the denoiser's sites; a site that it does not name is always computed.

    Where a site is reused, those inside it are not computed, whatever the schedule says of them.
    """
    names = {site.name for site in sites}
    if unknown := [name for name in schedule.sites if name not in names]:
        raise ValueError(
            f"the schedule names site {unknown[0]}, but the denoiser has {sites[0].name} to {sites[-1].name}"
        )
    outer = outer_sites(sites)
    if not any(outer) and schedule.sites == tuple(site.name for site in sites):
        return schedule.computed
    column = {name: i for i, name in enumerate(schedule.sites)}
    return tuple(
        runs([bits[column[s.name]] if s.name in column else True for s in sites], outer)
        for bits in schedule.computed
    )


def _intercept(inside: ExitStack, handle: nn.Module, denoiser: nn.Module, run: Run) -> None:
    """Take the place of the forwards of sites and norms: it costs time, and nobody calls these while runs are fast."""
    wraps = _wraps(denoiser, run)
    inside.enter_context(intercepted(denoiser, wraps))
    inside.enter_context(uncompiled(handle, [module for module, _ in wraps], stacklevel=7))


def _wraps(denoiser: nn.Module, run: Run) -> list[tuple[nn.Module, Wrap]]:
    """Wraps for spans, norms and branches; all read `run.computed`, which is set when a forward begins.

    Norms are wrapped only where something may be skipped.
    """
    wraps = run.probe_wraps(denoiser) if isinstance(run, DynamicRun) else []
    wraps += [] if run.inputs is None else run.inputs.wraps(denoiser, run)
    wraps += site_wraps(denoiser, run.sites, run)
    for i, site in enumerate(run.sites):
        if site.norm is not None and run.may_skip[i]:
            norm = denoiser.get_submodule(site.norm)
            wraps.append((norm, partial(_norm, run, i, _is_plain(norm))))
    return wraps


def _is_plain(norm: nn.Module) -> bool:
    """Whether a norm returns the branch's input alone; others also return gates, which must be computed afresh."""
    return isinstance(norm, nn.LayerNorm | nn.RMSNorm) or type(norm).__name__ == "RMSNorm"


def _norm(run: Run, i: int, plain: bool, original: Forward) -> Forward:
    """Skip a plain norm when its branch is skipped; run an adaLN norm on one token only.

    The modulation is needed for the gate; the normalisation of the other tokens is not.
    """

    def forward(x: Tensor, *args: Any, **kwargs: Any) -> Any:
        if run.feed(i):
            return original(x, *args, **kwargs)
        return x[:, :1] if plain else original(x[:, :1], *args, **kwargs)

    return forward
