"""See from outside which evaluation a pipeline's loop is in, by the scheduler's steps and the denoiser's forwards."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from types import MethodType
from typing import Any

from torch import nn

BeforeForward = Callable[[int, int, Sequence[Any], Mapping[str, Any]], None]


@contextmanager
def watching_loop(
    denoiser: nn.Module, scheduler: Any, before: BeforeForward, stepped: Callable[[Any], None]
) -> Iterator[None]:
    """Call `before(evaluation, forward index, args, kwargs)` at each forward of a pipeline's denoiser in a context.

    The forwards between two steps of the scheduler are one evaluation: guidance in two calls makes two of them. A
    scheduler of second order takes a step after each evaluation. `stepped` is called with each step's timestep.
    """
    counts = _Counts()

    def enter(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if module is denoiser:  # a copy of the module that is made meanwhile takes the hook along
            before(*counts.next(), args, kwargs)

    # pipelines look at its parameters, and pass a generator or eta where it has them
    @wraps(type(scheduler).step)
    def counted(itself: Any, *args: Any, **kwargs: Any) -> Any:
        counts.step_ended = True
        stepped(kwargs["timestep"] if "timestep" in kwargs else args[1])
        return type(itself).step(itself, *args, **kwargs)

    # before the engine's own hook, which must know the evaluation
    hook = denoiser.register_forward_pre_hook(enter, prepend=True, with_kwargs=True)
    scheduler.step = MethodType(counted, scheduler)  # which a deep copy, of a second stream, binds to itself
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
