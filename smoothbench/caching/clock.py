"""Which evaluation runs: told by whoever samples, or seen at the denoiser's own forward."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch

from smoothbench.caching.intercept import Forward
from smoothbench.caching.timestep import Timestep, TimestepArgument, first_tensor


class Tick(NamedTuple):
    """One forward of the denoiser: its evaluation, branch and coordinate; whether a run, or an evaluation, starts."""

    e: int
    branch: int | str
    coordinate: float | None
    starts: bool
    begins: bool


class Clock:
    """Numbers the denoiser's forwards; never counts branch calls.

    Announced (`announce`), it believes what it is told. Told where steps end (`end_step`), it takes the
    forwards between two ends for one evaluation. Otherwise it counts completed forwards, `calls_per_eval`
    to an evaluation: the timestep may rise or fall within a run, and where it turns back a new run starts.
    """

    def __init__(self, forward: Forward, evals: int | None, calls_per_eval: int = 1) -> None:
        if calls_per_eval < 1:
            raise ValueError(f"calls_per_eval must be at least 1, not {calls_per_eval}")
        self.evals, self.calls_per_eval = evals, calls_per_eval
        self._timestep = TimestepArgument(forward)
        self._announced: tuple[int, float | None, int | str] | None = None
        self._source = "seen"  # or announced, or steps: where evaluations are known from
        self._step_ended = False
        self._broken = False
        self._last: Tick | None = None
        self._first: Timestep | None = None  # of the run
        self._latest: Timestep | None = None
        self._direction = 0  # of the timestep within the run: 1 rises, -1 falls, 0 not known yet
        self._branches: list[int | str] = []  # of the evaluation under way
        self._expected: list[int | str] = []  # of the run's first evaluation
        self._shape: torch.Size | None = None

    def announce(self, e: int, coordinate: float | None, branch: int | str) -> None:
        """Say what the next forward is."""
        self._source = "announced"
        self._announced = (e, None if coordinate is None else float(coordinate), branch)

    def expect_step_ends(self) -> None:
        """From now on `end_step` says where evaluations end; the next forward starts a run."""
        self._source = "steps"
        self.finish()

    def end_step(self, index: int, final: bool) -> None:
        """Say that step `index` of the run has ended, and whether it was the run's last."""
        here = -1 if self._last is None else self._last.e
        if index != here or self._step_ended:
            self.broke()
            raise ValueError(f"step {index} was said to end, but evaluation {here} was under way")
        self._step_ended = True
        if final or (self.evals is not None and self._complete()):
            self.finish()

    def enter(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tick:
        """Number the forward that is about to run; ValueError before anything is computed."""
        tick = self._tick(args, kwargs)
        shape = first_tensor(args, kwargs).shape
        if tick.starts:
            self.finish()
        elif shape != self._shape:
            raise ValueError(
                f"the batch changed from {list(self._shape or ())} to {list(shape)} inside a run, "
                f"at evaluation {tick.e}: finish the run first"
            )
        if self.evals is not None and tick.e >= self.evals:
            raise ValueError(
                f"forward {tick.e + 1} of a run, but the schedule has {self.evals} evaluations: "
                "plan it for this number of steps"
            )
        self._accept(tick, shape)
        return tick

    def broke(self) -> None:
        """A forward raised: the run is void, and the next one starts without complaint."""
        self._broken = True

    def finish(self) -> None:
        """Raise ValueError if the run so far ended before its last evaluation."""
        last, short = self._last, not self._complete()
        self._last = None
        if last is not None and short and not self._broken and self.evals is not None:
            raise ValueError(
                f"the run ended in evaluation {last.e + 1}, but the schedule has {self.evals}: plan it for this "
                f"number of steps, or say how many forwards an evaluation has (calls_per_eval={self.calls_per_eval})"
            )

    def _tick(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tick:
        if self._source == "announced":
            tick = self._announced_tick()
            if tick.coordinate is not None:
                self._latest = Timestep(tick.coordinate, tick.coordinate)
                return tick
            self._latest = self._timestep.read(args, kwargs)
            return tick._replace(coordinate=self._latest and self._latest.value)
        now = self._timestep.read(args, kwargs)
        tick = self._step_tick() if self._source == "steps" else self._seen_tick(now)
        self._latest = now
        return tick._replace(coordinate=now and now.value)

    def _announced_tick(self) -> Tick:
        if self._announced is None:
            raise ValueError("announce every forward by run.step(e, ...), or none")
        (e, coordinate, branch), self._announced = self._announced, None
        here = -1 if self._last is None else self._last.e
        starts = e == 0 and (here != 0 or branch in self._branches)
        again = e == here and branch in self._branches
        if not starts and (e not in (here, here + 1) or again):
            raise ValueError(f"evaluation {e} was announced after evaluation {here}")
        self._check_branch(e, branch, starts)
        return Tick(e, branch, coordinate, starts, begins=starts or e != here)

    def _step_tick(self) -> Tick:
        if self._last is None or self._broken:
            return Tick(0, 0, None, starts=True, begins=True)
        e, branch = self._last.e, len(self._branches)
        if self._step_ended:
            e, branch = e + 1, 0
        self._check_branch(e, branch, starts=False)
        return Tick(e, branch, None, starts=False, begins=branch == 0)

    def _check_branch(self, e: int, branch: int | str, starts: bool) -> None:
        """ValueError where an evaluation has other forwards than the run's first."""
        if e > 0 and branch not in self._expected:
            raise ValueError(
                f"branch {branch!r} was announced first at evaluation {e}: name all branches at 0"
                if self._source == "announced"
                else f"evaluation {e} has more forwards than the {len(self._expected)} of evaluation 0"
            )
        next_evaluation = self._last is not None and not starts and e == self._last.e + 1
        if next_evaluation and len(self._branches) < len(self._expected):
            raise ValueError(
                f"evaluation {e - 1} lacks a branch: {self._expected} at 0, {self._branches} there"
            )

    def _seen_tick(self, now: Timestep | None) -> Tick:
        if now is None:
            raise ValueError(
                "cannot see the timestep of this denoiser: announce evaluations by run.step(e, ...), or pass "
                "callback_on_step_end=run.step_callback() to the pipeline"
            )
        if self._starts_run(now.mean):
            return Tick(0, 0, None, starts=True, begins=True)
        assert self._last is not None
        branch = len(self._branches)
        if branch < self.calls_per_eval:
            return Tick(self._last.e, branch, None, starts=False, begins=False)
        return Tick(self._last.e + 1, 0, None, starts=False, begins=True)

    def _starts_run(self, now: float) -> bool:
        if self._last is None or self._broken:
            return True
        assert self._latest is not None and self._first is not None
        first = self._first.mean
        if self._direction:
            turned = self._direction * (now - self._latest.mean) < 0
            return turned or (self._complete() and self._direction * (now - first) <= 0)
        if not self._whole():
            return False
        return now == first or (self.evals == 1 and now > first)  # a run has its first timestep once

    def _whole(self) -> bool:
        """Whether the evaluation under way has all its forwards."""
        return len(self._branches) == (self.calls_per_eval if self._source == "seen" else len(self._expected))

    def _complete(self) -> bool:
        last = self._last
        return last is not None and self._whole() and (self.evals is None or last.e == self.evals - 1)

    def _accept(self, tick: Tick, shape: torch.Size) -> None:
        if tick.starts:
            self._broken, self._shape, self._first, self._direction = False, shape, self._latest, 0
        if tick.starts or self._last is None or tick.e != self._last.e:
            self._branches = []
        self._branches.append(tick.branch)
        if tick.e == 0:
            self._expected = list(self._branches)
        if not self._direction and self._latest is not None and self._first is not None:
            now, first = self._latest.mean, self._first.mean
            self._direction = int(now > first) - int(now < first)
        self._last, self._step_ended = tick, False
