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

    Skips the test where a real device is here, and where torch is built for CUDA and cannot do without one.
    """
    if torch.cuda.is_available():
        pytest.skip("a real CUDA device is here")
    # where torch is built for CUDA its guard of devices would look for a real one: torch's own FakeTensorMode does this
    if guard := getattr(torch._C, "_ensureCUDADeviceGuardSet", None):
        guard()
    elif torch.version.cuda is not None:
        pytest.skip(f"torch {torch.__version__}, built for CUDA, cannot do without a device")
    ledger = Ledger()
    with pytest.MonkeyPatch.context() as patch:
        for name, stand_in in stand_ins(ledger).items():
            patch.setattr(torch.cuda, name, stand_in)
        patch.setattr(torch.backends.cudnn, "enabled", False)  # its operators exist on real devices alone
        with Functions(ledger), Operators(ledger):
            yield ledger
