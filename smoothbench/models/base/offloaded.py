"""Networks that lie in main memory and are on the device only while they run, as text encoders are."""

from collections.abc import Iterable, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn


class Offloaded:
    """Brings modules to the device for as long as this context lasts, or for one forward outside of it.

    Their weights, which must be in main memory when this is made, stay there: the device gets copies, which are
    dropped afterwards, so that nothing is copied back and what would change weights on the device is lost. Contexts
    may be nested. On a CPU nothing happens. Raises torch.OutOfMemoryError where the device has no room for the copies;
    then all weights are in main memory.
    """

    def __init__(self, modules: Sequence[nn.Module], device: torch.device) -> None:
        self._device, self._depth = device, 0
        self._at_home = list[tuple[Tensor, Tensor]]()
        self._modules = () if device.type == "cpu" else tuple(modules)
        for module in self._modules:
            module.register_forward_pre_hook(self._before)
            module.register_forward_hook(self._after, always_call=True)

    @property
    def is_on_device(self) -> bool:
        """Whether the modules are on the device now."""
        return self._depth > 0

    def __enter__(self) -> Self:
        if self._depth == 0:
            self._bring()
        self._depth += 1
        return self

    def __exit__(self, *error: object) -> None:
        # a forward whose weights found no room ends without having begun
        self._depth = max(0, self._depth - 1)
        if self._depth == 0:
            self._leave()

    def _before(self, *_: Any) -> None:
        self.__enter__()

    def _after(self, *_: Any) -> None:
        self.__exit__()

    def _bring(self) -> None:
        # ordinary tensors, also where samples are drawn in inference mode: later forwards may be outside of it
        with torch.inference_mode(False), torch.no_grad():
            tensors = list(_tensors(self._modules))
            copies = [tensor.data.to(self._device) for tensor in tensors]
            self._at_home = [(tensor, tensor.data) for tensor in tensors]
            for tensor, copy in zip(tensors, copies, strict=True):
                tensor.data = copy

    def _leave(self) -> None:
        with torch.inference_mode(False), torch.no_grad():
            for tensor, home in self._at_home:
                tensor.data = home
        self._at_home = []


def can_be_offloaded(module: nn.Module) -> bool:
    """Whether all weights of a module are ordinary tensors in main memory: quantised ones may not be exchanged."""
    kinds = (Tensor, nn.Parameter)
    return all(type(tensor) in kinds and tensor.device.type == "cpu" for tensor in _tensors([module]))


def _tensors(modules: Iterable[nn.Module]) -> Iterable[Tensor]:
    """All parameters and buffers, tied ones once."""
    seen = {id(tensor): tensor for module in modules for tensor in (*module.parameters(), *module.buffers())}
    return seen.values()
