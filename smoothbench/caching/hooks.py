"""Replace and restore the forwards of modules: the only place where a model is changed."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import MethodType
from typing import Any

from torch import nn

Forward = Callable[..., Any]
Wrap = Callable[[Forward], Forward]


class StandIn:
    """Takes the place of a module's `forward` within a context; afterwards it calls the original forward.

    Other libraries may keep it (a hook that was added inside the context calls it as the old forward), and
    a copy of the module gets the forward of its own class in its place.
    """

    __slots__ = ("__wrapped__", "_forward", "_inside", "_instance_forward", "_module", "active")

    def __init__(self, module: nn.Module, wrap: Wrap) -> None:
        self._module, self.active = module, False
        self._instance_forward: Forward | None = None  # of another library
        self.__wrapped__ = _without_former(module.forward)  # where inspect.signature looks
        self._inside = wrap(self.__wrapped__)
        self._forward: Forward = self.__wrapped__

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
        """Take the place of the module's forward; RuntimeError where another stand-in has it."""
        present = vars(self._module).get("forward")
        if isinstance(present, StandIn) and present.active:
            raise RuntimeError(
                f"this {type(self._module).__name__} is already inside cached(...) or calibrate(...)"
            )
        self._instance_forward = None if present is None else _without_former(present)
        self._forward, self.active = self._inside, True
        object.__setattr__(self._module, "forward", self)

    def leave(self, forever: bool = False) -> None:
        """Give the module back its forward, unless another library has put one there meanwhile.

        `forever` also lets go of the wrapped forward, as the stand-in is not used again.
        """
        self._forward, self.active = self.__wrapped__, False
        if forever:
            self._inside = self.__wrapped__
        if vars(self._module).get("forward") is not self:
            return
        del vars(self._module)["forward"]
        if self._instance_forward is not None:
            object.__setattr__(self._module, "forward", self._instance_forward)


def _without_former(forward: Forward) -> Forward:
    """A forward without the stand-ins of earlier contexts, which other libraries have kept and put back."""
    while isinstance(forward, StandIn) and not forward.active:
        forward = forward.__wrapped__
    return forward


@contextmanager
def intercepted(denoiser: nn.Module, wraps: Sequence[tuple[nn.Module, Wrap]]) -> Iterator[None]:
    """Replace each module's forward by `wrap(its forward)` within a context; afterwards it is the original.

    Of several wraps of one module the first is the outermost. Raises RuntimeError, naming the denoiser, where contexts
    nest.
    """
    by_module: dict[int, tuple[nn.Module, list[Wrap]]] = {}
    for module, wrap in wraps:
        by_module.setdefault(id(module), (module, []))[1].append(wrap)
    stand_ins = [StandIn(module, partial(_wrapped, of_module)) for module, of_module in by_module.values()]
    with standing_in(denoiser, stand_ins, forever=True):
        yield


def _wrapped(wraps: Sequence[Wrap], forward: Forward) -> Forward:
    for wrap in reversed(wraps):
        forward = wrap(forward)
    return forward


@contextmanager
def standing_in(denoiser: nn.Module, stand_ins: Sequence[StandIn], forever: bool = False) -> Iterator[None]:
    """Put stand-ins in the place of their modules' forwards within a context; RuntimeError where contexts nest.

    `forever` says that they will not be used again.
    """
    entered: list[StandIn] = []
    try:
        for stand_in in stand_ins:
            try:
                stand_in.enter()
            except RuntimeError:
                raise RuntimeError(
                    f"this {type(denoiser).__name__} is already inside cached(...) or calibrate(...)"
                ) from None
            entered.append(stand_in)
        yield
    finally:
        for stand_in in reversed(entered):
            stand_in.leave(forever)
