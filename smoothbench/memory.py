"""Out of memory: how it is recognised, and how many samples fit."""

from dataclasses import dataclass

import torch

SAID = (  # by allocators, libraries and compilers, in small letters
    "out of memory",  # CUDA, HIP, Triton
    "out of resource",  # Triton
    "can't allocate memory",  # torch's allocator of the CPU
    "not enough memory",
    "cannot allocate memory",  # the operating system
    "bad_alloc",
    "alloc_failed",  # cuBLAS, cuDNN and their like
    "allocation_failed",  # cuDNN 9
)


def out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or one that it was raised from, says that memory did not suffice."""
    while error is not None:
        if isinstance(error, torch.OutOfMemoryError | MemoryError):
            return True
        if any(text in str(error).lower() for text in SAID):
            return True
        error = error.__cause__
    return False


@dataclass
class Room:
    """How many samples a run draws at once: as many as it likes, until so many did not fit."""

    most: int | None = None

    def fits(self, samples: int) -> bool:
        """Whether so many may be tried: nothing larger has failed."""
        return self.most is None or samples <= self.most

    def refuse(self, samples: int) -> None:
        """So many did not fit: from now on half of them, at most."""
        self.most = half(samples)


def half(samples: int) -> int:
    """The larger half of a batch."""
    return (samples + 1) // 2
