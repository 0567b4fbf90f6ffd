"""See every forward of the denoiser, also where other libraries replace its `forward` between two calls."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn

from smoothbench.caching.hooks import Forward, StandIn

Begin = Callable[[Sequence[Any], Mapping[str, Any]], None]
End = Callable[[bool, Any], None]
Instead = Callable[[Forward, Sequence[Any], Mapping[str, Any]], Any]


def as_it_is(original: Forward, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Run a forward unchanged."""
    return original(*args, **kwargs)


@contextmanager
def watched(denoiser: nn.Module, begin: Begin, end: End, instead: Instead = as_it_is) -> Iterator[None]:
    """Call `begin(args, kwargs)` before each forward of the denoiser within a context, and `end(failed, output)` after.

    An exception in `begin` keeps the forward from running. `end(True, None)` runs after one, after an interrupted
    forward and after an exception in `end(False, ...)`. `instead(forward, args, kwargs)` runs in the forward's place.
    Forwards are seen by torch's own module hooks: model offloading takes away
    and puts back `forward` at the end of each pipeline call, and leaves hooks alone. A stand-in sees those that are
    called as `model.forward(...)`.
    """
    watch = _Watch(denoiser, begin, end, instead)
    with ExitStack() as stack:
        stack.callback(watch.close)
        before = denoiser.register_forward_pre_hook(_Before(denoiser, watch), with_kwargs=True)
        stack.callback(before.remove)
        after = denoiser.register_forward_hook(_After(denoiser, watch), always_call=True)
        stack.callback(after.remove)
        stack.callback(watch.leave)
        watch.stand_in()
        yield


class _Watch:
    """Reports each forward once, however it was called, and stands in for it."""

    def __init__(self, denoiser: nn.Module, begin: Begin, end: End, instead: Instead) -> None:
        self._denoiser = denoiser
        self._begin, self._end, self._instead = begin, end, instead
        self._open = self._reached = False
        self._stand_ins: list[StandIn] = []

    def stand_in(self) -> None:
        """Take the place of the denoiser's forward."""
        stand_in = StandIn(self._denoiser, self._around)
        stand_in.enter()
        self._stand_ins.append(stand_in)

    def leave(self) -> None:
        """Give the denoiser back its forward."""
        for stand_in in reversed(self._stand_ins):
            stand_in.leave(forever=True)

    def close_hooked(self, output: Any) -> None:
        """Report the end of a forward that torch's hooks saw; where another library took our stand-in away, renew it.

        Model offloading does so at the end of a pipeline's call.
        """
        if self._open and not self._reached:
            self.leave()
            self.stand_in()
        self.close(output is None, output)  # torch passes None where the forward raised

    def open(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Report that a forward begins; an earlier one that was interrupted ends first."""
        self.close()
        self._open, self._reached = True, False
        try:
            self._begin(args, kwargs)
        except BaseException:
            self.close()
            raise

    def close(self, failed: bool = True, output: Any = None) -> None:
        """Report the end of the forward under way, if there is one."""
        if self._open:
            self._open = False
            try:
                self._end(failed, output)
            except BaseException:
                if not failed:  # a forward that `end` refuses has failed
                    self._end(True, None)
                raise

    def _around(self, original: Forward) -> Forward:
        """Wrap a forward that is called as `model.forward(...)`, past the hooks."""

        def forward(*args: Any, **kwargs: Any) -> Any:
            if self._open:
                self._reached = True
                return self._instead(original, args, kwargs)
            self.open(args, kwargs)
            self._reached = True
            try:
                output = self._instead(original, args, kwargs)
            except BaseException:
                self.close()
                raise
            self.close(False, output)
            return output

        return forward


class _Hook:
    """A hook of one module; a copy of the module, made while it is there, gets one that does nothing."""

    def __init__(self, module: nn.Module, watch: _Watch) -> None:
        self.module, self.watch = module, watch

    def __deepcopy__(self, memo: dict[int, Any]) -> Callable[..., None]:
        return _nothing


class _Before(_Hook):
    def __call__(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if module is self.module:
            self.watch.open(args, kwargs)


class _After(_Hook):
    def __call__(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if module is self.module:
            self.watch.close_hooked(output)


def _nothing(*_: Any) -> None: ...
