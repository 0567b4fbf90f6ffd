"""Calibration: measure error curves, and the costs of sites, on an uncached denoiser."""

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn

from smoothbench.caching import grid
from smoothbench.caching.announce import Announcer
from smoothbench.caching.calibration_recorder import Recorder, SamplesOf, Sums
from smoothbench.caching.error_curves import ErrorCurves
from smoothbench.caching.evaluation_clock import Clock
from smoothbench.caching.fingerprint import fingerprint
from smoothbench.caching.foreign_caches import refuse_other_caches
from smoothbench.caching.forward_watch import watched
from smoothbench.caching.hooks import intercepted
from smoothbench.caching.mac_counter import SiteCosts
from smoothbench.caching.nesting import outer_sites
from smoothbench.caching.site_visits import Visits
from smoothbench.caching.site_wraps import Observer, site_wraps
from smoothbench.caching.sites import BRANCH, DENOISER, Site, find_sites
from smoothbench.caching.timestep import first_tensor
from smoothbench.caching.trajectory import Trajectory
from smoothbench.caching.uncompiled import original_module, uncompiled
from smoothbench.caching.unsupported import refuse_counting


def calibrate(
    denoiser: nn.Module,
    run: Callable[..., Any],
    k_max: int = 3,
    samples: int | None = None,
    *,
    rows_per_sample: int | None = None,
    calls_per_eval: int = 1,
    passes: int = 1,
    offload: bool = False,
    sites: Sequence[Site] | None = None,
) -> ErrorCurves:
    """Measure error curves, and the costs of sites, while `run` samples once or several times.

    In a batch of B rows, row r belongs to sample r modulo `samples`, or modulo B / `rows_per_sample`; without
    either, an even batch is taken to hold both halves of guidance (rows r and r + B/2 are one sample). Outputs
    of different runs are never compared, so a large batch may also be sampled in several runs.

    Where the denoiser's timestep does not tell evaluations apart, `run` takes an argument by which to
    announce them: `lambda announcer: pipe(..., callback_on_step_end=announcer.step_callback())`, or
    `announcer.step(e)` before each forward.

    To save memory, `passes` measures the sites in at most so many groups, one after another: `run` is called once for
    each group, must sample the same each time, and only outputs of one group are kept. `offload` keeps them on the
    CPU. `sites` are those to measure, by default all branches (see `find_sites`).

    Raises ValueError where there is no run, where runs differ in their timesteps or have a single evaluation, and
    where an output is not finite. Warns of outputs of 0.
    """
    counts = {"k_max": k_max, "passes": passes, "samples": samples, "rows_per_sample": rows_per_sample}
    for name, value in counts.items():
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, not {value}")
    samples_of = partial(_samples_of, samples, rows_per_sample)
    calibration = _Calibration(denoiser, calls_per_eval, sites)
    step = -(-len(calibration.sites) // passes)
    groups = [range(i, min(i + step, len(calibration.sites))) for i in range(0, len(calibration.sites), step)]
    recorders = [
        Recorder(calibration.sites, group, k_max, samples_of, "cpu" if offload else None) for group in groups
    ]
    for recorder in recorders:
        with calibration.recording(recorder) as announcer, torch.no_grad():
            run(*([announcer] if _takes_argument(run) else []))
    return calibration.curves(recorders, samples_of)


def _samples_of(samples: int | None, per_sample: int | None, batch: int) -> int:
    """The number of samples in a batch of `batch` rows; ValueError where it does not divide them."""
    count = samples or (batch // per_sample if per_sample else batch // 2 if batch % 2 == 0 else batch)
    if not count or batch % count or (per_sample and batch % per_sample):
        divisor = f"rows_per_sample={per_sample}" if per_sample else f"samples={samples}"
        raise ValueError(f"a batch of {batch} rows is no multiple of {divisor}")
    return count


def _takes_argument(run: Callable[..., Any]) -> bool:
    """Whether a callable must be given a positional argument."""
    parameters = inspect.signature(run).parameters.values()
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return any(p.kind in positional and p.default is p.empty for p in parameters)


class _Calibration:
    """The passes of a calibration over one denoiser; costs are counted in the first evaluation of the first pass."""

    def __init__(self, denoiser: nn.Module, calls_per_eval: int, sites: Sequence[Site] | None) -> None:
        self.handle, self.denoiser = denoiser, original_module(denoiser)
        refuse_other_caches(self.denoiser)
        refuse_counting(self.denoiser)
        self.sites = find_sites(self.denoiser) if sites is None else tuple(sites)
        outer_sites(self.sites)  # refuses spans that overlap
        self.costs = SiteCosts(self.sites)
        self._counted_batch = 0  # size of the batch whose costs were counted
        self._calls_per_eval = calls_per_eval

    @contextmanager
    def recording(self, recorder: Recorder) -> Iterator[Announcer]:
        """Record the denoiser's sampling runs within a context."""
        clock = Clock(self.denoiser.forward, None, self._calls_per_eval)
        visits = Visits(self.sites, type(self.denoiser).__name__)
        outermost = [i for i, site in enumerate(self.sites) if site.level == DENOISER]
        follower = _Recording(self.costs, recorder, visits)
        wraps = site_wraps(self.denoiser, self.sites, follower)

        def begin(args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
            tick, batch = clock.enter(args, kwargs), len(first_tensor(args, kwargs))
            recorder.begin(tick, batch)
            first = recorder.group.start == 0 and not recorder.finished
            if first and tick.starts_run:
                self.costs.forget()
                self._counted_batch = batch
            if first and tick.e == 0:
                self.costs.begin()
            visits.begin()

        def end(failed: bool, output: Any) -> None:
            self.costs.end()
            for i in [] if failed else outermost:
                visits.visit(i)
                recorder.add(i, output)
            if failed:
                clock.void()
                recorder.drop()
            visits.end(failed)

        with ExitStack() as stack:
            stack.enter_context(intercepted(self.denoiser, wraps))
            stack.enter_context(uncompiled(self.handle, [module for module, _ in wraps], stacklevel=7))
            stack.enter_context(watched(self.denoiser, begin, end))
            yield Announcer(clock)
        recorder.finish()

    def curves(self, recorders: Sequence[Recorder], samples_of: SamplesOf) -> ErrorCurves:
        """The error curves of all passes together; ValueError where the passes sampled differently."""
        passes = [_joined(recorder.finished, type(self.denoiser).__name__) for recorder in recorders]
        first = passes[0]
        if not all(
            sums.norm.shape[::2] == first.norm.shape[::2] and grid.same(first.coordinates, sums.coordinates)
            for sums in passes
        ):
            raise ValueError(
                "the passes of a calibration sampled differently: run() must do the same each time"
            )
        sites, rest = self.costs.result(samples_of(self._counted_batch))
        trajectory = Trajectory(sites, passes[0].coordinates, rest.total, rest.linear)
        change, norm = (
            torch.cat([sums.change for sums in passes], 1),
            torch.cat([p.norm for p in passes], 1),
        )
        curves = ErrorCurves(trajectory, change, norm, fingerprint(self.denoiser))
        if zero := curves.zero_outputs():
            warnings.warn(
                f"the output of {_listed(zero)} is 0 at some evaluations: where it changes from there, its kind is "
                "computed",
                stacklevel=3,
            )
        if uncounted := [site.name for site in sites if site.level == BRANCH and not site.macs_linear]:
            warnings.warn(
                f"no MACs of linear layers were counted in {_listed(uncounted)}, whose kernels torch's counter does "
                "not know (are they quantised?): costs, shares and budgets leave them out",
                stacklevel=3,
            )
        return curves


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:4])}{' and others' if len(names) > 4 else ''}"


class _Recording(Observer):
    """Counts what the sites of an uncached denoiser cost, and records what they give."""

    def __init__(self, costs: SiteCosts, recorder: Recorder, visits: Visits) -> None:
        super().__init__()
        self.feed, self.fed = costs.enter, costs.leave  # type: ignore[method-assign]  # a part of the site's cost
        self._costs, self._recorder, self._visits = costs, recorder, visits

    def enter(self, i: int) -> bool:
        """Start counting site `i`."""
        self._visits.visit(i)
        return super().enter(i) and self._costs.enter(i)

    def keep(self, i: int, output: Any) -> None:
        """Record what site `i` gave."""
        super().keep(i, output)
        self._costs.leave(i)
        self._recorder.add(i, output)


def _joined(runs: Sequence[Sums], denoiser: str) -> Sums:
    """The sums of all runs, concatenated over samples; ValueError where the runs differ in their evaluations."""
    if not runs:
        raise ValueError(f"calibration saw no forward of this {denoiser}: does run() call this very module?")
    lengths = sorted({len(run.coordinates) for run in runs})
    way_out = (
        "say how many forwards an evaluation has (calls_per_eval=...), or let run take an argument and announce "
        "evaluations by it (callback_on_step_end=announcer.step_callback())"
    )
    if lengths == [1]:
        runs_seen = "a run" if len(runs) == 1 else f"{len(runs)} runs"
        raise ValueError(
            f"calibration saw {runs_seen} of one evaluation (timestep {runs[0].coordinates[0]:.6g} in the first): "
            f"the timestep does not tell evaluations apart: {way_out}"
        )
    if len(lengths) > 1:
        raise ValueError(f"calibration runs had different numbers of evaluations: {lengths}: {way_out}")
    for run in runs:
        if not grid.same(runs[0].coordinates, run.coordinates):
            raise ValueError(
                f"calibration runs had different timesteps: {grid.describe(runs[0].coordinates)}, and "
                f"{grid.describe(run.coordinates)}"
            )
    return Sums(torch.cat([r.change for r in runs]), torch.cat([r.norm for r in runs]), runs[-1].coordinates)
