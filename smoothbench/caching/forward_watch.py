"""See every forward of the denoiser, also where other libraries replace its `forward` between two calls."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn

from smoothbench.caching.hooks import Forward, StandIn

Begin = Callable[[Sequence[Any], Mapping[str, Any]], None]
End = Callable[[bool], None]


@contextmanager
def watched(denoiser: nn.Module, begin: Begin, end: End) -> Iterator[None]:
    """Call `begin(args, kwargs)` before each forward of the denoiser within a context, and `end(failed)` after it.

    An exception in `begin` keeps the forward from running. `end(True)` runs after one, after an interrupted forward
    and after an exception in `end(False)`. Forwards are seen by torch's own module hooks: model offloading takes away
    and puts back `forward` at the end of each pipeline call, and leaves hooks alone. A stand-in sees those that are
    called as `model.forward(...)`.
    """
    watch = _Watch(begin, end)
    with ExitStack() as stack:
        stack.callback(watch.close)
        before = denoiser.register_forward_pre_hook(_Before(denoiser, watch), with_kwargs=True)
        stack.callback(before.remove)
        after = denoiser.register_forward_hook(_After(denoiser, watch), always_call=True)
        stack.callback(after.remove)
        stand_in = StandIn(denoiser, watch.around)
        stack.callback(stand_in.leave, forever=True)
        stand_in.enter()
        yield


class _Watch:
    """Reports each forward once, however it was called."""

    def __init__(self, begin: Begin, end: End) -> None:
        self._begin, self._end, self._open = begin, end, False

    def open(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Report that a forward begins; an earlier one that was interrupted ends first."""
        self.close()
        self._open = True
        try:
            self._begin(args, kwargs)
        except BaseException:
            self.close()
            raise

    def close(self, failed: bool = True) -> None:
        """Report the end of the forward under way, if there is one."""
        if self._open:
            self._open = False
            try:
                self._end(failed)
            except BaseException:
                if not failed:  # a forward that `end` refuses has failed
                    self._end(True)
                raise

    def around(self, original: Forward) -> Forward:
        """Wrap a forward that is called as `model.forward(...)`, past the hooks."""

        def forward(*args: Any, **kwargs: Any) -> Any:
            if self._open:
                return original(*args, **kwargs)
            self.open(args, kwargs)
            try:
                output = original(*args, **kwargs)
            except BaseException:
                self.close()
                raise
            self.close(failed=False)
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
            self.watch.close(failed=output is None)  # what torch passes where the forward raised


def _nothing(*_: Any) -> None: ...
