"""See from outside which evaluation a pipeline's own loop is in: by its scheduler's steps and its denoiser's forwards."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

Told = Callable[[int, int, Sequence[Any], Mapping[str, Any]], None]


@contextmanager
def told_of_forwards(denoiser: nn.Module, scheduler: Any, told: Told, stepped: Callable[[Any], None]) -> Iterator[None]:
    """Call `told(evaluation, forward index, args, kwargs)` before each forward of a pipeline's denoiser in a context.

    The forwards between two steps of the scheduler are one evaluation: guidance in two calls makes two of them. A
    scheduler of second order takes a step after each evaluation. `stepped` is called with each step's timestep.
    """
    counts = _Counts()

    def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if module is denoiser:  # a copy of the module that is made meanwhile takes the hook along
            told(*counts.next(), args, kwargs)

    step = scheduler.step

    def counted(*args: Any, **kwargs: Any) -> Any:
        counts.step_ended = True
        stepped(kwargs["timestep"] if "timestep" in kwargs else args[1])
        return step(*args, **kwargs)

    # before the engine's own hook, which must know the evaluation
    hook = denoiser.register_forward_pre_hook(before, prepend=True, with_kwargs=True)
    scheduler.step = counted
    try:
        yield
    finally:
        del scheduler.step
        hook.remove()


class _Counts:
    """Where a run is. Several steps in a row, of two streams, end one evaluation."""

    def __init__(self) -> None:
        self.step_ended, self._e, self._index = True, -1, 0

    def next(self) -> tuple[int, int]:
        self._e, self._index = (self._e + 1, 0) if self.step_ended else (self._e, self._index + 1)
        self.step_ended = False
        return self._e, self._index
