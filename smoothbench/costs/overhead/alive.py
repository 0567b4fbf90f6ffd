"""How many bytes of tensors are alive: what a cache keeps, whoever keeps it and wherever."""

import gc
from contextlib import suppress

import torch


def alive_bytes(device: torch.device) -> int:
    """Return the bytes of all tensor storages on a device that Python can reach."""
    gc.collect()
    sizes: dict[int, int] = {}
    for thing in gc.get_objects():
        # not isinstance, which asks proxies of other libraries for their class, and thereby imports them
        if not issubclass(type(thing), torch.Tensor):
            continue
        with suppress(RuntimeError, NotImplementedError, ReferenceError):  # tensors without a storage
            if thing.device == device:
                storage = thing.untyped_storage()
                sizes[storage.data_ptr()] = storage.nbytes()
    return sum(sizes.values())
