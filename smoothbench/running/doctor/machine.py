"""Checks of the machine: devices, versions, memory, and the compiler that torch.compile needs."""

import importlib.util
import os
import platform
import shutil
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import diffusers
import torch

from smoothbench.running.doctor.finding import Check, Finding, judged
from smoothbench.sampling.devices import hidden, sign_of_nvidia, why_no_cuda
from smoothbench.sampling.output_memory import free_bytes
from smoothbench.storage.provenance import device_name

AMPERE = 8  # the first generation, by compute capability, that computes bfloat16 in hardware
FULL = 0.9  # a device of which less is free is used by others


def checks(device: torch.device) -> list[Check]:
    """The checks of this machine, and of the device that is to run on it."""
    on_gpu = [Check("devices", _every_gpu)] if device.type == "cuda" else []
    return [
        Check("versions", _versions),
        Check("device", lambda: _device(device)),
        *on_gpu,
        Check("processor", _processor),
        Check("torch.compile's compiler", lambda: _compiler(device)),
    ]


def _versions() -> Iterator[Finding]:
    cuda = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"
    yield Finding(
        "ok",
        "versions",
        f"Python {platform.python_version()}, torch {torch.__version__} ({cuda}), diffusers {diffusers.__version__}",
    )


def _device(device: torch.device) -> Iterator[Finding]:
    if device.type != "cuda":
        yield _no_gpu(device)
        return
    properties = torch.cuda.get_device_properties(device)
    capability = f"compute capability {properties.major}.{properties.minor}"
    yield Finding("ok", "device", f"{device}: {device_name(device)}, {capability}")
    yield judged(
        properties.major >= AMPERE,
        "bfloat16",
        "in hardware" if properties.major >= AMPERE else f"emulated ({capability})",
        "measure latency.also.dtype=[float32,float16]",
        otherwise="warn",
    )


def _no_gpu(device: torch.device) -> Finding:
    """A failure where there is a GPU that torch does not see; otherwise a warning."""
    measured = f"{device}: {device_name(device)}"
    if torch.cuda.is_available():
        return Finding("ok", "device", f"{measured}, though there is a GPU")
    sign = sign_of_nvidia()
    measured += f"; {why_no_cuda(torch.version.cuda, sign, hidden())}"
    if sign is None or hidden():
        advice = "the papers' own experiments want a GPU; the embedded models do without"
        return Finding("warn", "device", measured, advice)
    return Finding("FAIL", "device", measured, "runs would take the CPU, a hundred times as slow")


def _every_gpu() -> Iterator[Finding]:
    for number in range(torch.cuda.device_count()):
        device = torch.device("cuda", number)
        matrix = torch.ones(8, 8, device=device)
        total, free = torch.cuda.get_device_properties(device).total_memory, free_bytes(device) or 0
        works = (matrix @ matrix).sum().item() == 8**3
        yield judged(works, f"{device}: computes", device_name(device), "have the device looked at")
        yield judged(
            free >= FULL * total,
            f"{device}: memory",
            f"{free / 1e9:.0f} of {total / 1e9:.0f} GB are free",
            "another process uses it: its latencies would be wrong, and batches may not fit",
            otherwise="warn",
        )


def _processor() -> Iterator[Finding]:
    free = free_bytes(torch.device("cpu"))
    memory = "" if free is None else f", {free / 1e9:.0f} GB of memory free"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    name = device_name(torch.device("cpu"))
    yield Finding("ok", "processor", f"{name}, {cores} cores, {torch.get_num_threads()} threads{memory}")


def _compiler(device: torch.device) -> Iterator[Finding]:
    lacking = []
    if not any(shutil.which(name) for name in (os.environ.get("CXX") or "g++", "clang++", "gcc")):
        lacking.append("no C++ compiler")
    if not Path(sysconfig.get_paths()["include"], "Python.h").is_file():
        lacking.append("no Python.h")
    if device.type == "cuda" and importlib.util.find_spec("triton") is None:
        lacking.append("no triton")
    yield judged(
        not lacking,
        "torch.compile's compiler",
        ", ".join(lacking) or "is here",
        "apt-get install g++ python3-dev, or latency.also.mode=[eager]",
        otherwise="warn",
    )
