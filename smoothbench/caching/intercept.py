"""Replace forwards for a while: the one place where a model is touched, and restored."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import MethodType
from typing import Any

from torch import nn

Forward = Callable[..., Any]
Wrap = Callable[[Forward], Forward]
MARK = "smoothbench_intercepted"


class StandIn:
    """What a module has as `forward` within a context; after the context it calls the original forward.

    Other libraries may keep it (a hook that was added inside the context calls it as the old forward), and
    a copy of the module gets the forward of its own class in its place.
    """

    __slots__ = ("__wrapped__", "_forward", "_inside", "_instance_forward", "_module")

    def __init__(self, module: nn.Module, wrap: Wrap) -> None:
        self._module = module
        self._instance_forward: Forward | None = None  # of another library
        self.__wrapped__: Forward = module.forward  # where inspect.signature looks
        self._inside = wrap(self.__wrapped__)
        self._forward = self._inside

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._forward(*args, **kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> Forward:
        copied = memo.get(id(self._module))
        if copied is None:  # the forward alone is copied, not its module
            return self.__wrapped__
        if self._instance_forward is not None:  # another library's
            return copy.deepcopy(self._instance_forward, memo)
        return MethodType(type(self._module).forward, copied)

    def enter(self) -> None:
        """Take the place of the module's forward."""
        self._instance_forward, self._forward = vars(self._module).get("forward"), self._inside
        object.__setattr__(self._module, "forward", self)

    def leave(self) -> None:
        """Give the module its own forward back, unless another library has put one there meanwhile."""
        self._forward = self.__wrapped__
        if vars(self._module).get("forward") is not self:
            return
        del vars(self._module)["forward"]
        if self._instance_forward is not None:
            object.__setattr__(self._module, "forward", self._instance_forward)


@contextmanager
def intercepted(denoiser: nn.Module, wraps: Sequence[tuple[nn.Module, Wrap]]) -> Iterator[None]:
    """Within the context, each module's forward is `wrap(its forward)`; after it, the original.

    Raises RuntimeError where the denoiser is already intercepted: contexts do not nest.
    """
    with standing_in(denoiser, [StandIn(module, wrap) for module, wrap in wraps]):
        yield


@contextmanager
def standing_in(denoiser: nn.Module, stand_ins: Sequence[StandIn]) -> Iterator[None]:
    """Within the context, stand-ins have the place of their modules' forwards; RuntimeError where contexts nest."""
    if vars(denoiser).get(MARK) == id(denoiser):  # a copy made inside a context carries the original's id
        raise RuntimeError(f"this {type(denoiser).__name__} is already inside cached(...) or calibrate(...)")
    object.__setattr__(denoiser, MARK, id(denoiser))
    try:
        for stand_in in stand_ins:
            stand_in.enter()
        yield
    finally:
        object.__delattr__(denoiser, MARK)
        for stand_in in reversed(stand_ins):
            stand_in.leave()
