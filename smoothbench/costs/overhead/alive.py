"""How many bytes of tensors came to be and are still alive: what a cache keeps, whoever keeps it and wherever."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch
from torch import Tensor, nn


@contextmanager
def only_new_objects() -> Iterator[None]:
    """Keep what exists by now out of `new_bytes` within a context."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def new_bytes(denoiser: nn.Module) -> int:
    """Return the bytes of the storages of all tensors that were made inside `only_new_objects`, but for the weights."""
    gc.collect()
    weights = {_address(tensor) for tensor in (*denoiser.parameters(), *denoiser.buffers())}
    # not isinstance, which asks proxies of other libraries for their class, and thereby imports them
    tensors = [thing for thing in gc.get_objects() if issubclass(type(thing), torch.Tensor)]
    sizes: dict[int, int] = {}
    for tensor in tensors:
        with suppress(RuntimeError, NotImplementedError):  # of a tensor without a storage
            sizes[_address(tensor)] = tensor.untyped_storage().nbytes()
    return sum(size for address, size in sizes.items() if address not in weights)


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
