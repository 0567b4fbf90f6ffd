"""Which evaluation runs: told by our own sampling loop, or seen at the denoiser's own forward."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from smoothbench.caching.intercept import Forward

TIMESTEP_NAMES = ("timestep", "timesteps", "t", "sigma")


class Tick(NamedTuple):
    """One forward of the denoiser: its evaluation, branch and coordinate, and whether a run starts."""

    e: int
    branch: int | str
    coordinate: float | None
    starts: bool


class Clock:
    """Numbers the denoiser's forwards; never counts branch calls.

    Announced (`announce`), it believes what it is told. Otherwise it counts completed forwards,
    `calls_per_eval` to an evaluation, and a noisier timestep than the last starts a new run.
    """

    def __init__(self, forward: Forward, evals: int | None, calls_per_eval: int = 1) -> None:
        if calls_per_eval < 1:
            raise ValueError(f"calls_per_eval must be at least 1, not {calls_per_eval}")
        self.evals, self.calls_per_eval = evals, calls_per_eval
        self._position = _timestep_position(forward)
        self._told: tuple[int, float | None, int | str] | None = None
        self._telling = False
        self._broken = False
        self._last: Tick | None = None
        self._first_coordinate: float | None = None
        self._branches: list[int | str] = []  # of the evaluation under way
        self._expected: list[int | str] = []  # of the run's first evaluation
        self._shape: torch.Size | None = None

    def announce(self, e: int, coordinate: float | None, branch: int | str) -> None:
        """Say what the next forward is."""
        self._telling = True
        self._told = (e, coordinate, branch)

    def enter(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tick:
        """Number the forward that is about to run; ValueError before anything is computed."""
        tick = self._told_tick() if self._telling else self._seen_tick(args, kwargs)
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

    def _told_tick(self) -> Tick:
        if self._told is None:
            raise ValueError("announce every forward by run.step(e, ...), or none")
        (e, coordinate, branch), self._told = self._told, None
        here = -1 if self._last is None else self._last.e
        starts = e == 0 and (here != 0 or branch in self._branches)
        again = e == here and branch in self._branches
        if not starts and (e not in (here, here + 1) or again):
            raise ValueError(f"evaluation {e} was announced after evaluation {here}")
        if e > 0 and branch not in self._expected:
            raise ValueError(
                f"branch {branch!r} was announced first at evaluation {e}: name all branches at 0"
            )
        if e == here + 1 and e > 0 and len(self._branches) < len(self._expected):
            raise ValueError(
                f"evaluation {here} lacks a branch: {self._expected} at 0, {self._branches} there"
            )
        return Tick(e, branch, coordinate, starts)

    def _seen_tick(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tick:
        now = self._timestep(args, kwargs)
        if self._starts_run(now):
            return Tick(0, 0, now, True)
        assert self._last is not None
        done = len(self._branches)
        if done < self.calls_per_eval:
            return Tick(self._last.e, done, now, False)
        return Tick(self._last.e + 1, 0, now, False)

    def _starts_run(self, now: float) -> bool:
        if self._last is None or self._broken:
            return True
        assert self._last.coordinate is not None and self._first_coordinate is not None
        again = self._complete() or (self._last.e == 0 and self._whole())  # a run has its first timestep once
        return now > self._last.coordinate or (again and now >= self._first_coordinate)

    def _whole(self) -> bool:
        """Whether the evaluation under way has all its forwards."""
        wanted = len(self._expected) if self._telling else self.calls_per_eval
        return len(self._branches) == wanted

    def _complete(self) -> bool:
        last = self._last
        return last is not None and self._whole() and (self.evals is None or last.e == self.evals - 1)

    def _accept(self, tick: Tick, shape: torch.Size) -> None:
        if tick.starts:
            self._broken, self._shape, self._first_coordinate = False, shape, tick.coordinate
        if tick.starts or self._last is None or tick.e != self._last.e:
            self._branches = []
        self._branches.append(tick.branch)
        if tick.e == 0:
            self._expected = list(self._branches)
        self._last = tick

    def _timestep(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> float:
        name, position = self._position
        value = kwargs.get(name) if name in kwargs else (args[position] if position < len(args) else None)
        if value is None:
            raise ValueError(
                "cannot see the timestep of this denoiser: announce evaluations by run.step(e, ...)"
            )
        return float(value.flatten()[0]) if isinstance(value, Tensor) else float(value)


def _timestep_position(forward: Forward) -> tuple[str, int]:
    names = list(inspect.signature(forward).parameters)
    for name in TIMESTEP_NAMES:
        if name in names:
            return name, names.index(name)
    return TIMESTEP_NAMES[0], len(names)


def first_tensor(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor:
    """The denoiser's main input: by convention its first tensor argument."""
    return next(value for value in (*args, *kwargs.values()) if isinstance(value, Tensor))
