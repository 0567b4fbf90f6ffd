"""A pretended CUDA device, for tests without a GPU: tensors say `cuda:0` and live on the CPU.

Operators on tensors of both devices raise as they do on a GPU; copies, values that the host reads, waits and kernels
are noted with the line of the project that led to them.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from tests.support.pretended_cuda.functions import Functions
from tests.support.pretended_cuda.ledger import PINNED, Event, Ledger, synchronisations
from tests.support.pretended_cuda.operators import Operators
from tests.support.pretended_cuda.runtime import stand_ins
from tests.support.pretended_cuda.tensors import CUDA

__all__ = ["CUDA", "PINNED", "Event", "Ledger", "pretended_cuda", "synchronisations"]


@contextmanager
def pretended_cuda() -> Iterator[Ledger]:
    """Make `torch` have a CUDA device within a context, and give the ledger of what it is asked for.

    Skips the test where a real device is here, and where this torch cannot do it.
    """
    if torch.cuda.is_available():
        pytest.skip("a real CUDA device is here")
    guard = getattr(torch._C, "_ensureCUDADeviceGuardSet", None)  # what torch's own FakeTensorMode calls
    if guard is None:
        pytest.skip(f"torch {torch.__version__} has no guard for a device that is not there")
    guard()
    ledger = Ledger()
    with pytest.MonkeyPatch.context() as patch:
        for name, stand_in in stand_ins(ledger).items():
            patch.setattr(torch.cuda, name, stand_in)
        with Functions(ledger), Operators(ledger):
            yield ledger
