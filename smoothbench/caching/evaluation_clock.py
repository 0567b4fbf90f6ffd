"""Tell which evaluation a forward belongs to: the sampling loop announces it, or the denoiser's arguments show it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch

from smoothbench.caching.hooks import Forward
from smoothbench.caching.timestep import Timestep, TimestepArgument, first_tensor


class Tick(NamedTuple):
    """One forward of the denoiser, placed in its sampling run.

    `e` is its evaluation, `forward_index` its number or name within the evaluation, `coordinate` its timestep (None
    where it is not known); `starts_run` and `starts_evaluation` say whether it is the first of either, and
    `is_announced` whether the coordinate was announced, not read from the forward's arguments.
    """

    e: int
    forward_index: int | str
    coordinate: float | None
    starts_run: bool
    starts_evaluation: bool
    is_announced: bool = False


class Clock:
    """Places every forward of the denoiser in an evaluation of a sampling run; it never counts calls of blocks.

    Announced forwards (`announce`) are placed as announced. Where the ends of steps are announced (`end_step`), the
    forwards between two ends are one evaluation. Otherwise completed forwards are counted, `calls_per_eval` to an
    evaluation: the timestep may rise or fall within a run, and where it turns back a new run starts. Raises
    ValueError for `calls_per_eval` below 1.
    """

    def __init__(self, forward: Forward, evals: int | None, calls_per_eval: int = 1) -> None:
        if calls_per_eval < 1:
            raise ValueError(f"calls_per_eval must be at least 1, not {calls_per_eval}")
        self.evals, self.calls_per_eval = evals, calls_per_eval
        self._timestep = TimestepArgument(forward)
        self._announced: tuple[int, float | None, int | str] | None = None
        self._source = (
            "seen"  # how evaluations are known: seen, announced, or steps (whose ends are announced)
        )
        self._step_ended = False
        self._voided = False
        self._last: Tick | None = None
        self._first: Timestep | None = None  # the run's first
        self._latest: Timestep | None = None
        self._direction = 0  # 1: the timestep rises within the run, -1: it falls, 0: not known yet
        self._forwards: list[int | str] = []  # indices of the forwards in the evaluation under way
        self._expected: list[int | str] = []  # indices of the forwards in the run's first evaluation
        self._shape: torch.Size | None = None

    def announce(self, e: int, coordinate: float | None, forward_index: int | str) -> None:
        """Announce the next forward: its evaluation, its coordinate, and its index or name within the evaluation."""
        self._source = "announced"
        self._announced = (e, None if coordinate is None else float(coordinate), forward_index)

    def expect_step_ends(self) -> None:
        """Expect a call of `end_step` after every evaluation from now on; the next forward starts a run."""
        self._source = "steps"
        self.finish()

    def end_step(self, index: int, final: bool) -> None:
        """Announce that step `index` of the run has ended, and whether it was the last; ValueError for another step."""
        here = -1 if self._last is None else self._last.e
        if index != here or self._step_ended:
            self.void()
            raise ValueError(f"step {index} was said to end, but evaluation {here} was under way")
        self._step_ended = True
        if final or (self.evals is not None and self._run_complete()):
            self.finish()

    def enter(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tick:
        """Place the forward that is about to run; ValueError, before anything is computed, where it fits no run."""
        tick = self._tick(args, kwargs)
        shape = first_tensor(args, kwargs).shape
        if tick.starts_run:
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

    def void(self) -> None:
        """Give up the run because a forward of it raised: the next run starts without complaint."""
        self._voided = True

    def finish(self) -> None:
        """Raise ValueError if the run so far ended before its last evaluation."""
        last, short = self._last, not self._run_complete()
        self._last = None
        if last is not None and short and not self._voided and self.evals is not None:
            raise ValueError(
                f"the run ended in evaluation {last.e + 1}, but the schedule has {self.evals}: plan it for this "
                f"number of steps, or say how many forwards an evaluation has (calls_per_eval={self.calls_per_eval})"
            )

    def _tick(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tick:
        if self._source == "announced":
            return self._announced_tick(args, kwargs)
        now = self._timestep.read(args, kwargs)
        tick = self._step_tick() if self._source == "steps" else self._seen_tick(now)
        self._latest = now
        return tick._replace(coordinate=now and now.value)

    def _announced_tick(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tick:
        if self._announced is None:
            raise ValueError("announce every forward by run.step(e, ...), or none")
        (e, coordinate, forward_index), self._announced = self._announced, None
        here = -1 if self._last is None else self._last.e
        starts_run = e == 0 and (here != 0 or forward_index in self._forwards)
        again = e == here and forward_index in self._forwards
        if not starts_run and (e not in (here, here + 1) or again):
            raise ValueError(f"evaluation {e} was announced after evaluation {here}")
        self._check_forward(e, forward_index, starts_run)
        is_announced = coordinate is not None
        self._latest = now = (
            self._timestep.read(args, kwargs) if coordinate is None else Timestep(coordinate, coordinate)
        )
        return Tick(e, forward_index, now and now.value, starts_run, starts_run or e != here, is_announced)

    def _step_tick(self) -> Tick:
        if self._last is None or self._voided:
            return Tick(0, 0, None, starts_run=True, starts_evaluation=True)
        e, forward_index = self._last.e, len(self._forwards)
        if self._step_ended:
            e, forward_index = e + 1, 0
        self._check_forward(e, forward_index, starts_run=False)
        return Tick(e, forward_index, None, starts_run=False, starts_evaluation=forward_index == 0)

    def _check_forward(self, e: int, forward_index: int | str, starts_run: bool) -> None:
        """ValueError where an evaluation has other forwards than the run's first."""
        if e > 0 and forward_index not in self._expected:
            raise ValueError(
                f"forward {forward_index!r} was announced first at evaluation {e}: announce all forwards at 0"
                if self._source == "announced"
                else f"evaluation {e} has more forwards than the {len(self._expected)} of evaluation 0"
            )
        next_evaluation = self._last is not None and not starts_run and e == self._last.e + 1
        if next_evaluation and len(self._forwards) < len(self._expected):
            raise ValueError(
                f"evaluation {e - 1} lacks a forward: {self._expected} at 0, {self._forwards} there"
            )

    def _seen_tick(self, now: Timestep | None) -> Tick:
        if now is None:
            raise ValueError(
                "cannot see the timestep of this denoiser: announce evaluations by run.step(e, ...), or pass "
                "callback_on_step_end=run.step_callback() to the pipeline"
            )
        if self._starts_run(now.mean):
            return Tick(0, 0, None, starts_run=True, starts_evaluation=True)
        assert self._last is not None
        forward_index = len(self._forwards)
        if forward_index < self.calls_per_eval:
            return Tick(self._last.e, forward_index, None, starts_run=False, starts_evaluation=False)
        return Tick(self._last.e + 1, 0, None, starts_run=False, starts_evaluation=True)

    def _starts_run(self, now: float) -> bool:
        if self._last is None or self._voided:
            return True
        assert self._latest is not None and self._first is not None
        first = self._first.mean
        if self._direction:
            turned = self._direction * (now - self._latest.mean) < 0
            return turned or (self._run_complete() and self._direction * (now - first) <= 0)
        if not self._evaluation_complete():
            return False
        # the first timestep occurs only once in a run
        return now == first or (self.evals == 1 and now > first)

    def _evaluation_complete(self) -> bool:
        """Whether the evaluation under way has all its forwards."""
        return len(self._forwards) == (self.calls_per_eval if self._source == "seen" else len(self._expected))

    def _run_complete(self) -> bool:
        last = self._last
        return (
            last is not None
            and self._evaluation_complete()
            and (self.evals is None or last.e == self.evals - 1)
        )

    def _accept(self, tick: Tick, shape: torch.Size) -> None:
        if tick.starts_run:
            self._voided, self._shape, self._first, self._direction = False, shape, self._latest, 0
        if tick.starts_run or self._last is None or tick.e != self._last.e:
            self._forwards = []
        self._forwards.append(tick.forward_index)
        if tick.e == 0:
            self._expected = list(self._forwards)
        if not self._direction and self._latest is not None and self._first is not None:
            now, first = self._latest.mean, self._first.mean
            self._direction = int(now > first) - int(now < first)
        self._last, self._step_ended = tick, False
