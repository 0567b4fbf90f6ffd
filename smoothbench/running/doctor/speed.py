"""Checks of a device's speed: arithmetic, memory, launches, and how steady a latency is."""

import time
from collections.abc import Callable, Iterator

import torch

from smoothbench.caching import cached
from smoothbench.costs.interleave import interleaved, median_mad, ratio_interval
from smoothbench.running.doctor.embedded import Embedded, alternating
from smoothbench.running.doctor.finding import Check, Finding, judged
from smoothbench.sampling.devices import wait_for
from smoothbench.sampling.loop import latents, silent

WIDTH = {"cuda": 4096, "cpu": 512}  # of the square matrices that are multiplied
BYTES = {"cuda": 2**30, "cpu": 2**26}  # of the tensor that is read and written
LAUNCHES = 1000
ROUNDS, BATCH = 7, 8
UNSTEADY = 0.05  # median absolute deviation of a latency, over its median


def checks(device: torch.device, model: Embedded) -> list[Check]:
    """The checks of this device's speed, on an embedded model on it."""
    return [
        Check("arithmetic and memory", lambda: _arithmetic(device)),
        Check("launches", lambda: _launches(device)),
        Check("latency", lambda: _latency(model)),
        *([Check("memory in use", lambda: _peak(model))] if device.type == "cuda" else []),
    ]


def _seconds(call: Callable[[], object], device: torch.device, repeats: int = 5) -> float:
    """Seconds of a call, the mean over some after a first one."""
    wait = wait_for(device) or (lambda: None)
    call()
    wait()
    started = time.perf_counter()
    for _ in range(repeats):
        call()
    wait()
    return (time.perf_counter() - started) / repeats


@torch.no_grad()
def _arithmetic(device: torch.device) -> Iterator[Finding]:
    width, rates = WIDTH[device.type], []
    for dtype in (torch.float32, torch.bfloat16):
        matrix = torch.ones(width, width, device=device, dtype=dtype)
        seconds = _seconds(lambda matrix=matrix: matrix @ matrix, device)  # type: ignore[misc]
        rates.append(f"{str(dtype).removeprefix('torch.')} {2 * width**3 / seconds / 1e12:.2g} TFLOPS")
    yield Finding("ok", f"matrix products, {width} x {width}", ", ".join(rates))
    vector = torch.zeros(BYTES[device.type] // 4, device=device)
    seconds = _seconds(lambda: vector.add_(1), device)
    yield Finding("ok", "memory", f"{2 * BYTES[device.type] / seconds / 1e9:.0f} GB/s, read and written")


@torch.no_grad()
def _launches(device: torch.device) -> Iterator[Finding]:
    number = torch.zeros(1, device=device)
    seconds = _seconds(lambda: [number.add_(1) for _ in range(LAUNCHES)], device, repeats=3)
    yield Finding("ok", "an operator on one number", f"{seconds / LAUNCHES * 1e6:.1f} us")


def _latency(model: Embedded) -> Iterator[Finding]:
    there, seeds = model.on_device, range(BATCH)
    schedule = alternating(there)

    def reusing() -> None:
        with cached(there.model.denoiser, schedule, coordinates=there.solver.coordinates) as run:
            latents(there.model, there.solver, seeds, run.step)

    runs = {"bare": lambda: latents(there.model, there.solver, seeds, silent), "cached": reusing}
    seconds = interleaved(runs, ROUNDS, 1, wait_for(model.device))
    median, mad = median_mad(seconds["bare"])
    ratio, low, high = ratio_interval(seconds["bare"], seconds["cached"])
    yield judged(
        mad <= UNSTEADY * median,
        f"{model.name}: latency",
        f"{1e3 * median:.1f} ms +- {mad / median:.0%} at batch {BATCH}; "
        f"every other evaluation reused: {ratio:.2f} times as fast [{low:.2f}, {high:.2f}]",
        "other programs use this machine: latencies measured now mean little",
        otherwise="warn",
    )


def _peak(model: Embedded) -> Iterator[Finding]:
    torch.cuda.reset_peak_memory_stats(model.device)
    latents(model.on_device.model, model.on_device.solver, range(BATCH), silent)
    peak = torch.cuda.max_memory_allocated(model.device)
    measured = f"at most {peak / 1e6:.0f} MB while it samples a batch of {BATCH}"
    yield judged(
        peak > 0, f"{model.name}: memory in use", measured, "torch does not say: records lack it", "warn"
    )
