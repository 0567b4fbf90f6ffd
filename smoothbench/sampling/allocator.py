"""Keep the C library from handing memory back to the system after every large tensor.

On the embedded DiT at batch 64 that costs, by default, up to a third of an evaluation in page faults,
at random: it drowns what is to be measured.
"""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc, malloc.h
LARGEST_MMAP_THRESHOLD = 32 * 2**20  # the most that glibc accepts


def keep_freed_memory() -> bool:
    """Set glibc's thresholds for this process; False where the C library is another."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD) and mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
