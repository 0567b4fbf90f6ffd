"""Checks of what the paper's own experiments need: memory for caches and calibration, and weights."""

from collections.abc import Iterator
from functools import partial

import torch

from smoothbench.caching import find_sites
from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build_model
from smoothbench.running.doctor.embedded import CPU, composed
from smoothbench.running.doctor.finding import Check, Finding, judged
from smoothbench.sampling.output_memory import SHARE, free_bytes, output_bytes, split
from smoothbench.sibling_packages import ROOT

EXPERIMENTS = ROOT / "conf" / "exp" / "paper"


def checks(device: torch.device) -> list[Check]:
    """The checks of every experiment in `conf/exp/paper`."""
    return [Check(f"paper/{name}", partial(_experiment, name, device)) for name in experiments()]


def experiments() -> list[str]:
    """The names of the papers' experiments, `conf/exp/paper`."""
    return sorted(path.stem for path in EXPERIMENTS.glob("*.yaml"))


def _experiment(name: str, device: torch.device) -> Iterator[Finding]:
    """No weights are needed to count: the denoiser runs on the meta device."""
    plan = settings(composed(f"+exp=paper/{name}", "stage=cost", "metrics=[psnr]", f"device={device}"))
    model = build_model(plan.model, CPU)
    skeleton, call = model.skeleton()
    outputs = output_bytes(skeleton, find_sites(skeleton), call)
    weights = sum(parameter.numel() * parameter.element_size() for parameter in skeleton.parameters())
    calibration = plan.specs[0].calibration
    free = free_bytes(device)
    left = None if free is None else max(free - weights, 0)
    parts = split(calibration["num_samples"], outputs, calibration["k_max"], left)
    cache = sum(outputs) * plan.batch_size
    fits = left is None or cache <= SHARE * left
    yield judged(
        fits,
        f"paper/{name}: memory",
        f"weights {weights / 1e9:.1f} GB, cache {cache / 1e9:.1f} GB at batch {plan.batch_size}, calibration of "
        f"{parts.samples} at a time in passes: {parts.passes}"
        + ("" if free is None else f"; {free / 1e9:.0f} GB free"),
        "batches are halved until they fit" if plan.batch_size > 1 else "take a device with more memory",
        otherwise="warn",
    )
    reason = model.unavailable_reason
    measured = reason or "are here"
    yield judged(reason is None, f"paper/{name}: weights", measured, "", otherwise="warn")
