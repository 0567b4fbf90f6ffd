"""The provenance of a result: the machine, the versions of packages and the commit of a run."""

import platform
import shlex
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig

from smoothbench.numerics import tf32_matmul

PACKAGES = ("torch", "diffusers", "hydra-core", "torchmetrics", "scipy", "numpy", "pillow")


def provenance(device: torch.device) -> dict[str, Any]:
    """Collect time, command, commit, versions, device and numerics of this process."""
    return {
        **_command(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "git": _git(),
        "versions": dict(_versions()),
        "device": device_name(device),
        "kind": device.type,
        "threads": torch.get_num_threads(),
        "tf32": tf32_matmul(),
    }


def device_name(device: torch.device) -> str:
    """Return the product name of the processor or the GPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _command() -> dict[str, str]:
    """The command of the job that Hydra runs, without where its results lie; nothing outside the command line."""
    if not HydraConfig.initialized():
        return {}
    overrides = [
        override
        for override in HydraConfig.get().overrides.task
        if not override.startswith(("results_dir=", "hydra.", "hydra/"))
    ]
    return {"command": shlex.join(["python", "-m", "smoothbench", *overrides])}


@cache  # a process has one for all its records
def _versions() -> Mapping[str, str]:
    return {name: metadata.version(name) for name in PACKAGES} | {"python": platform.python_version()}


@cache  # of the code that this process runs, whatever changes on disk since
def _git() -> str:
    """The commit of the source tree, with `-dirty` if files were changed since, or `unknown`."""
    command = [
        "git",
        "-C",
        str(Path(__file__).parent),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=12",
        "--exclude=*",
    ]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
