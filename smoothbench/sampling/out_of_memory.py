"""Out of memory: how it is recognised, and how many samples fit."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch

from smoothbench.errors import one_line

Attempt = TypeVar("Attempt")
Result = TypeVar("Result")

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


def first_that_fits(
    attempt: Attempt,
    run: Callable[[Attempt], Result],
    smaller: Callable[[Attempt], Attempt | None],
    refused: Callable[[Attempt, str], None],
    nothing_fits: str,
) -> Result:
    """Run an attempt, and ever smaller ones while memory does not suffice.

    Args: smaller, the next attempt, None where there is none; refused, called with each attempt that did not fit,
    and the reason. Raises MemoryError, saying `nothing_fits` and the last reason, where none does.
    """
    while True:
        try:
            return run(attempt)
        except Exception as error:
            if not out_of_memory(error):
                raise
            reason = one_line(error)[:160]
        if torch.cuda.is_initialized():  # outside of the handler, which keeps the failed run's tensors alive
            torch.cuda.empty_cache()
        if (following := smaller(attempt)) is None:
            raise MemoryError(f"{nothing_fits} ({reason})")
        refused(attempt, reason)
        attempt = following


@dataclass
class LargestBatch:
    """The largest number of samples that a run draws at once; None until a batch did not fit into memory."""

    size: int | None = None

    def of(self, samples: int) -> int:
        """The size of the parts of a batch of so many samples: halved until it is no larger than `size`."""
        if self.size is None or samples <= self.size:
            return samples
        return self.of(half(samples))


def half(samples: int) -> int:
    """The larger half of a batch."""
    return (samples + 1) // 2
