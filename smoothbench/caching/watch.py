"""See every forward of the denoiser, also where other libraries replace its `forward` between two calls."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn

Begin = Callable[[tuple[Any, ...], Mapping[str, Any]], None]
End = Callable[[bool], None]


@contextmanager
def watched(denoiser: nn.Module, begin: Begin, end: End) -> Iterator[None]:
    """Within the context, `begin(args, kwargs)` runs before each forward of the denoiser, `end(failed)` after it.

    An exception in `begin` keeps the forward from running. Both are torch's own module hooks: model
    offloading takes away and puts back `forward` at the end of each pipeline call, and leaves hooks alone.
    """
    before = denoiser.register_forward_pre_hook(_Before(denoiser, begin), with_kwargs=True)
    after = denoiser.register_forward_hook(_After(denoiser, end), always_call=True)
    try:
        yield
    finally:
        before.remove()
        after.remove()


class _Hook:
    """A hook of one module; a copy of the module, made while it is there, gets one that does nothing."""

    def __init__(self, module: nn.Module, tell: Callable[..., None]) -> None:
        self.module, self.tell = module, tell

    def __deepcopy__(self, memo: dict[int, Any]) -> Callable[..., None]:
        return _nothing


class _Before(_Hook):
    def __call__(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.tell(args, kwargs)


class _After(_Hook):
    def __call__(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        self.tell(output is None)  # what torch passes where the forward raised


def _nothing(*_: Any) -> None: ...
