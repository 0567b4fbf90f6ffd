"""Stands in for `torch.cuda`: one device, with 80 GiB that nothing fills."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final

from tests.support.pretended_cuda.ledger import WAIT, Ledger

GIB: Final = 2**30
NAME: Final = "Pretended GPU"
PROPERTIES: Final = SimpleNamespace(
    name=NAME, total_memory=80 * GIB, major=9, minor=0, multi_processor_count=132
)


def stand_ins(ledger: Ledger) -> dict[str, Callable[..., Any]]:
    """What takes the place of functions of `torch.cuda`, by their names."""
    return {
        "_lazy_init": lambda: None,
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "is_bf16_supported": lambda *_: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "get_device_name": lambda *_: NAME,
        "get_device_capability": lambda *_: (PROPERTIES.major, PROPERTIES.minor),
        "get_device_properties": lambda *_: PROPERTIES,
        "synchronize": lambda *_: ledger.note(WAIT, "synchronize"),
        "empty_cache": lambda: None,
        "mem_get_info": lambda *_: (79 * GIB, 80 * GIB),
        "memory_allocated": lambda *_: 0,
        "memory_reserved": lambda *_: 0,
        "max_memory_allocated": lambda *_: GIB,
        "reset_peak_memory_stats": lambda *_: None,
    }
