"""The calibration batch: planners record its uncached run, and roll out candidate schedules on it."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from smoothbench.caching import grid
from smoothbench.caching.announce import Announcer
from smoothbench.caching.binding import Bindable, Fitting
from smoothbench.caching.engine import cached
from smoothbench.caching.known_rollouts import KnownRollouts
from smoothbench.caching.observed_run import observed
from smoothbench.caching.policy import DynamicPolicy
from smoothbench.caching.predictor import Predictor, predictor_from
from smoothbench.caching.probes import Probe
from smoothbench.caching.recording import Recording, RecordingRuns
from smoothbench.caching.schedule import Schedule
from smoothbench.caching.steering import Steer, steered
from smoothbench.caching.trajectory import Trajectory

Sample = Callable[[Announcer], Tensor]  # samples the whole batch: final latents [samples, ...]


@runtime_checkable
class Resumable(Protocol):
    """A sampling function that remembers the states of one run, and can go on from them."""

    def __call__(self, announcer: Announcer) -> Tensor: ...

    def remember(self, announcer: Announcer) -> Tensor:
        """Sample the batch, and remember the states on the way."""
        ...

    @property
    def remembered(self) -> int:
        """The number of evaluations, from the first, from which the batch can go on."""
        ...

    def resume(self, announcer: Announcer, first: int) -> Tensor:
        """Sample the batch from evaluation `first` on."""
        ...


@dataclass(frozen=True)
class Spent:
    """What planning on a calibration batch has cost: runs of it, of which so many were rollouts.

    `evaluations` counts evaluations of single samples, cached ones too; `macs` are those that ran, attention included.
    """

    runs: int = 0
    rollouts: int = 0
    evaluations: int = 0
    macs: int = 0


class CalibrationBatch:
    """A few samples, apart from those that are evaluated, which a planner may run as often as it likes.

    Args: denoiser; sample, a function that samples the batch and returns its final latents [samples, ...], announcing
    each forward to the announcer that it is given (`announcer.step(e, coordinate, forward_index)`); trajectory, whose
    costs are counted; predictor, the one that will stand in for skipped outputs; rows_per_sample, the rows of a
    forward's batch that belong to one sample, guidance included; room, the bytes that recordings may take; finer,
    gives for a number of sub-steps a function that samples the same batch by a solver that makes so many for each step,
    and whose grid passes through all timesteps of the solver's own; known, the rollouts of earlier plannings on the
    same samples with the same predictor, which are counted, but not sampled again.
    """

    def __init__(
        self,
        denoiser: nn.Module,
        sample: Sample,
        trajectory: Trajectory,
        predictor: str | Predictor = "reuse",
        rows_per_sample: int = 1,
        room: int | None = None,
        finer: Callable[[int], Sample] | None = None,
        known: KnownRollouts | None = None,
    ) -> None:
        self.denoiser, self.trajectory = denoiser, trajectory
        self.predictor = predictor_from(predictor)
        self.spent = Spent()
        self._sample, self.rows_per_sample, self._room, self._known = sample, rows_per_sample, room, known
        self._recorded: dict[Probe, Sequence[Sequence[Tensor]]] = {}
        self._coordinates: tuple[float, ...] = ()
        self._uncached: Tensor | None = None
        self._finer, self._fine = finer, dict[tuple[Sequence[Probe], int], tuple[Recording, Tensor]]()

    @property
    def uncached(self) -> Tensor:
        """The final latents of the uncached run, [samples, ...]; it is sampled once."""
        if self._uncached is None:
            self.record([])
        assert self._uncached is not None
        return self._uncached

    def record(self, probes: Sequence[Probe]) -> Recording:
        """Sample the batch without a cache and return what the probes give; what was recorded before is not run again.

        Raises ValueError, naming it, for a probe on a site that the denoiser does not have, and where there is no
        room: then record fewer probes at a time, and `forget` those that are done with.
        """
        missing = [probe for probe in dict.fromkeys(probes) if probe not in self._recorded]
        if missing or self._uncached is None:
            recorder = RecordingRuns(missing, self.rows_per_sample, self._room_left())
            self._uncached = self._observed(recorder, missing)
            self._count(Spent(1, 0, *self._uncached_cost(len(self._uncached))))
            recording = recorder.result()
            self._recorded.update(recording.values)
            self._coordinates = recording.coordinates
        return Recording({probe: self._recorded[probe] for probe in probes}, self._coordinates)

    def fine(self, probes: Sequence[Probe], substeps: int) -> tuple[Recording, Tensor]:
        """Return what probes give at the same evaluations of a run with sub-steps in between, and its final latents.

        Raises ValueError where the batch was made without `finer`, and where that run passes through other timesteps.
        """
        key = tuple(probes), substeps
        if key not in self._fine:
            if self._finer is None:
                raise ValueError(
                    "a fine run needs a solver with sub-steps: CalibrationBatch(..., finer=function of their number)"
                )
            recorder = RecordingRuns(probes, self.rows_per_sample, self._room_left(), every=substeps)
            final = observed(self.denoiser, self.trajectory.sites, self._finer(substeps), recorder, probes)
            recording = recorder.result()
            if not grid.same(self.trajectory.coordinates, recording.coordinates):
                raise ValueError(
                    f"the fine run passes through timesteps {grid.describe(recording.coordinates)}, the uncached one "
                    f"through {grid.describe(self.trajectory.coordinates)}: give it a grid that holds these"
                )
            evaluations, macs = self._uncached_cost(len(final))
            self._count(Spent(1, 0, evaluations * substeps, macs * substeps))
            self._fine[key] = recording, final
        return self._fine[key]

    def forget(self) -> None:
        """Drop what was recorded; the final latents stay."""
        self._recorded, self._fine = {}, {}

    def _room_left(self) -> int | None:
        """The bytes that further recordings may take."""
        recorded = [self._recorded, *(recording.values for recording, _ in self._fine.values())]
        taken = sum(x.nbytes for of in recorded for e in of.values() for leaves in e for x in leaves)
        return None if self._room is None else self._room - taken

    def rollout(self, schedule: Schedule, predictor: str | Predictor | None = None) -> Tensor:
        """Sample the batch under a schedule and return its final latents, [samples, ...].

        What is computed before anything is skipped is taken from the uncached run, where the batch can go on from
        there. Args: predictor, by default the batch's own, which is fitted to the schedule first where it must be.
        """
        chosen = self.predictor if predictor is None else predictor_from(predictor)
        if isinstance(chosen, Fitting):
            chosen = cast(Predictor, chosen.fit(schedule, self))
        first = self._first(schedule, chosen)
        bits, meta = schedule.computed[first:], {} if first else schedule.meta
        tail = replace(schedule, computed=bits, meta=meta, weights=None)  # the predictor is given
        known = self._known if predictor is None and not isinstance(self.predictor, Fitting) else None
        final = None if known is None else known.get(schedule)
        if final is None:
            final = self._rolled_out(tail, chosen, first)
            if known is not None:
                known.keep(schedule, final)
        trajectory = replace(self.trajectory, coordinates=self.trajectory.coordinates[first:])
        macs = trajectory.cost(tail.calls()).total * len(final)
        self._count(Spent(1, 1, tail.evals * len(final), macs))
        return final

    def _rolled_out(self, tail: Schedule, predictor: Predictor, first: int) -> Tensor:
        """Sample the batch from evaluation `first` on under what is left of a schedule: the final latents."""
        with warnings.catch_warnings(), torch.no_grad():
            warnings.filterwarnings("ignore", message="the cache policy skipped nothing")
            with cached(self.denoiser, tail, predictor=predictor, evals=tail.evals) as run:
                return self._sampled(run, first)

    def steer(self, steer: Steer, computed: int) -> Tensor:
        """Sample the batch while `steer` stands in for the denoiser, but at `computed` evaluations: final latents."""
        evals = self.trajectory.evals
        final = steered(self.denoiser, evals, self._sample, steer)
        _, full = self._uncached_cost(len(final))
        self._count(Spent(1, 1, evals * len(final), full * computed // evals))
        return final

    def _first(self, schedule: Schedule, predictor: Predictor | Bindable) -> int:
        """The evaluation from which a rollout differs from the uncached run, less those that its history needs."""
        if not isinstance(self._sample, Resumable) or isinstance(predictor, Bindable):
            return 0
        _ = self.uncached  # whose states are remembered
        skipping = [e for e, bits in enumerate(schedule.computed) if not all(bits)]
        first = min(skipping, default=schedule.evals) - predictor.depth
        return max(min(first, self._sample.remembered - 1), 0)

    def _sampled(self, run: Announcer, first: int) -> Tensor:
        if not first:
            return self._sample(run)
        assert isinstance(self._sample, Resumable)
        return self._sample.resume(_Later(run, first), first)

    def share(self, policy: DynamicPolicy) -> float:
        """Sample the batch under a method that decides at run time: the share of the uncached MACs that this takes.

        Where the batch is sampled in parts, it is a mean over them, weighed by their forwards alone.
        """
        evals = self.trajectory.evals
        with warnings.catch_warnings(), torch.no_grad():
            warnings.filterwarnings("ignore", message="the cache policy skipped nothing")
            with cached(self.denoiser, policy, predictor=self.predictor, evals=evals) as run:
                samples = len(self._sample(run))
        calls = {site: n * evals / run.forwards for site, n in {**run.calls, **run.probe_calls}.items()}
        macs, full = self.trajectory.cost(calls).total * samples, self._uncached_cost(samples)[1]
        self._count(Spent(1, 1, evals * samples, macs))
        return macs / full

    def _uncached_cost(self, samples: int) -> tuple[int, int]:
        evals = self.trajectory.evals
        full = self.trajectory.cost(dict.fromkeys((site.name for site in self.trajectory.sites), evals))
        return evals * samples, full.total * samples

    def _count(self, more: Spent) -> None:
        pairs = zip(vars(self.spent).values(), vars(more).values(), strict=True)
        self.spent = Spent(*(old + new for old, new in pairs))

    def _observed(self, recorder: RecordingRuns, probes: Sequence[Probe]) -> Tensor:
        """Sample the batch without a cache, while a recorder sees the probes; the states are remembered once."""
        sample = self._sample
        if isinstance(sample, Resumable) and not sample.remembered:
            sample = sample.remember
        return observed(self.denoiser, self.trajectory.sites, sample, recorder, probes)


class _Later(Announcer):
    """Announces to a run that began at evaluation `first`."""

    def __init__(self, run: Announcer, first: int) -> None:
        super().__init__(run.clock)
        self._first = first

    def step(self, e: int, coordinate: float | None = None, forward_index: int | str = 0) -> None:
        """Announce the next forward, by its number in this run."""
        super().step(e - self._first, coordinate, forward_index)
