"""Replace and restore the forwards of modules: the only place where a model is changed."""

import copy
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import MethodType
from typing import Any

from torch import nn

Forward = Callable[..., Any]
Wrap = Callable[[Forward], Forward]
FORWARD = "forward"
CALL, HANDLED = "_compiled_call_impl", "_orig_mod"  # torch's names: module.compile(), torch.compile(module)


class StandIn:
    """Takes the place of a module's `forward` within a context; afterwards it calls the original forward.

    Other libraries may keep it (a hook that was added inside the context calls it as the old forward), and
    a copy of the module gets the forward of its own class in its place. `attribute` is where the module keeps what it
    stands in for: `forward`, or the compiled call of a module that torch compiled.
    """

    __slots__ = ("__wrapped__", "_attribute", "_forward", "_inside", "_instance_forward", "_module", "active")

    def __init__(self, module: nn.Module, wrap: Wrap, attribute: str = FORWARD) -> None:
        self._module, self._attribute, self.active = module, attribute, False
        self._instance_forward: Forward | None = None  # of another library
        self.__wrapped__ = _without_former(getattr(module, attribute))  # where inspect.signature looks
        self._inside = wrap(self.__wrapped__)
        self._forward: Forward = self.__wrapped__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._forward(*args, **kwargs)

    @property
    def is_foreign(self) -> bool:
        """Whether the forward beneath is one that another library set, not that of the module's class."""
        return self._instance_forward is not None

    def __deepcopy__(self, memo: dict[int, Any]) -> Forward:
        copied = memo.get(id(self._module))
        if copied is None:  # the forward alone is copied, not its module
            return self.__wrapped__
        if self._instance_forward is not None:  # another library's
            return copy.deepcopy(self._instance_forward, memo)
        return MethodType(type(self._module).forward, copied)

    def enter(self) -> None:
        """Take the place of the module's forward; RuntimeError where another stand-in has it."""
        present = vars(self._module).get(self._attribute)
        if isinstance(present, StandIn) and present.active:
            raise RuntimeError(
                f"this {type(self._module).__name__} is already inside cached(...) or calibrate(...)"
            )
        self._instance_forward = None if present is None else _without_former(present)
        self._forward, self.active = self._inside, True
        object.__setattr__(self._module, self._attribute, self)

    def leave(self, forever: bool = False) -> None:
        """Give the module back its forward, unless another library has put one there meanwhile.

        `forever` also lets go of the wrapped forward, as the stand-in is not used again.
        """
        self._forward, self.active = self.__wrapped__, False
        if forever:
            self._inside = self.__wrapped__
        if vars(self._module).get(self._attribute) is not self:
            return
        del vars(self._module)[self._attribute]
        if self._instance_forward is not None:
            object.__setattr__(self._module, self._attribute, self._instance_forward)


def _without_former(forward: Forward) -> Forward:
    """A forward without the stand-ins of earlier contexts, which other libraries have kept and put back."""
    while isinstance(forward, StandIn) and not forward.active:
        forward = forward.__wrapped__
    return forward


@contextmanager
def intercepted(denoiser: nn.Module, wraps: Sequence[tuple[nn.Module, Wrap]]) -> Iterator[None]:
    """Replace each module's forward by `wrap(its forward)` within a context; afterwards it is the original.

    Of several wraps of one module the first is the outermost. A compiled module in which nothing else is intercepted
    is so from outside, and stays compiled. Raises RuntimeError, naming the denoiser, where contexts nest.
    """
    by_module: dict[int, tuple[nn.Module, list[Wrap]]] = {}
    for module, wrap in wraps:
        by_module.setdefault(id(module), (module, []))[1].append(wrap)
    place = _places(denoiser, [module for module, _ in by_module.values()])
    stand_ins = [
        StandIn(module, partial(_wrapped, of_module), attribute)
        for (module, attribute), (_, of_module) in zip(place, by_module.values(), strict=True)
    ]
    with standing_in(denoiser, stand_ins, forever=True):
        yield


def all_parts(denoiser: nn.Module) -> list[nn.Module]:
    """Return the denoiser and all modules in it, in any order, in a third of the time that `modules()` takes."""
    parts, below = list[nn.Module](), [denoiser]
    while below:
        parts += below
        below = [child for part in below for child in part._modules.values() if child is not None]
    return parts


def compiled_parts(denoiser: nn.Module, parts: Sequence[nn.Module] | None = None) -> list[nn.Module]:
    """Return the modules that torch compiled, the denoiser among them, and the handles that it gave for others.

    Args: parts, all modules of the denoiser, where the caller has them.
    """
    parts = all_parts(denoiser) if parts is None else parts
    return [m for m in parts if m.__dict__.get(CALL) is not None or HANDLED in m._modules]


def holds(module: nn.Module, intercepted: Container[int]) -> bool:
    """Return whether a module has parts, beside itself, that are intercepted, by their ids."""
    return any(id(part) in intercepted for part in module.modules() if part is not module)


def _places(denoiser: nn.Module, modules: Sequence[nn.Module]) -> list[tuple[nn.Module, str]]:
    """For each module where its stand-in goes: outside its graph where it is compiled and holds no other of them."""
    compiled = compiled_parts(denoiser)
    if not compiled:
        return [(module, FORWARD) for module in modules]
    handles = {id(part._modules[HANDLED]): part for part in compiled if HANDLED in part._modules}
    inside = {id(module) for module in modules}

    def place(module: nn.Module) -> tuple[nn.Module, str]:
        handle, is_compiled = handles.get(id(module)), vars(module).get(CALL) is not None
        if (handle is None and not is_compiled) or holds(module, inside):
            return module, FORWARD
        return (module, CALL) if handle is None else (handle, FORWARD)

    return [place(module) for module in modules]


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
