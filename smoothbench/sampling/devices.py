"""The device of a run: which, and why."""

import logging
import os
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from smoothbench.errors import UsageError
from smoothbench.numerics import set_tf32
from smoothbench.sampling.allocator import keep_freed_memory
from smoothbench.storage.provenance import device_name

log = logging.getLogger(__name__)


def started(name: str, tf32: bool) -> torch.device:
    """The device of a run, said with the reason in its first line; the process is made ready: TF32, freed memory.

    Raises UsageError for a device that is not there.
    """
    device = device_of(name)
    set_tf32(tf32)
    keep_freed_memory()
    expected = name == "auto" and device.type == "cpu" and sign_of_nvidia() and not hidden()
    why = f"as device={name} asks" if name != "auto" else "device=auto: " + _why(device)
    log.log(logging.WARNING if expected else logging.INFO, "device: %s (%s), %s", *_shown(device), why)
    return device


def _shown(device: torch.device) -> tuple[str, str]:
    return str(device), device_name(device)


def device_of(name: str) -> torch.device:
    """`auto` is CUDA where there is one; UsageError for a device that is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    match = re.fullmatch(r"cpu|cuda(?::([0-9]{1,4}))?", name)
    if not match:
        raise UsageError(f"device={name!r:.60}: no such device; use auto, cpu or cuda")
    if name.startswith("cuda") and not torch.cuda.is_available():
        reason = why_no_cuda(torch.version.cuda, sign_of_nvidia(), hidden())
        raise UsageError(
            f"device={name}: there is no CUDA device here ({reason}); use device=auto or device=cpu"
        )
    if match[1] and int(match[1]) >= torch.cuda.device_count():
        raise UsageError(f"device={name}: there are {torch.cuda.device_count()} CUDA devices, from cuda:0")
    return torch.device(name)


def _why(device: torch.device) -> str:
    if device.type == "cuda":
        return f"the first of {torch.cuda.device_count()} CUDA devices"
    return why_no_cuda(torch.version.cuda, sign_of_nvidia(), hidden())


def why_no_cuda(built_for: str | None, sign: str | None, hiding: bool) -> str:
    """Why torch sees no CUDA device: by the CUDA that it was built for, and a sign of a device on this machine."""
    if sign is None:
        return "no NVIDIA device is to be seen"
    if hiding:
        return f"{sign} is there, but CUDA_VISIBLE_DEVICES hides all devices"
    if built_for is None:
        return (
            f"{sign} is there, but this torch ({torch.__version__}) is built without CUDA: install one that is, "
            "see pytorch.org"
        )
    return (
        f"{sign} is there, but torch, built for CUDA {built_for}, finds no device that it can use: "
        "is the driver too old for it, see nvidia-smi?"
    )


def sign_of_nvidia(devices: Path = Path("/dev")) -> str | None:
    """What tells of an NVIDIA device or its driver on this machine, whatever torch sees; None: nothing."""
    nodes = sorted(devices.glob("nvidia[0-9]*"))
    return str(nodes[0]) if nodes else shutil.which("nvidia-smi")


def hidden() -> bool:
    """Whether the environment hides all CUDA devices."""
    return os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1")


def wait_for(device: torch.device) -> Callable[[], None] | None:
    """What waits until all work of this device is done; None where a call has ended when it returns."""
    return partial(torch.cuda.synchronize, device) if device.type == "cuda" else None
