"""Checks of an embedded model on a device: the same as on the CPU, the same again, and untouched by caching."""

from collections.abc import Iterator

import torch
from torch import Tensor

from smoothbench.caching import SmoothCache, find_sites
from smoothbench.models.weights.read import cast
from smoothbench.protocols import Model
from smoothbench.running.doctor.embedded import CPU, EVALUATIONS, SEEDS, Embedded, cached_samples
from smoothbench.running.doctor.finding import Check, Finding, judged
from smoothbench.running.doctor.numerics import relative_error
from smoothbench.sampling.calibrate_point import measure_curves
from smoothbench.sampling.loop import latents, silent

TOLERANCES = {"dit_nano": 1e-4, "stable_audio_nano": 1e-3, "opensora_nano": 1e-3}
BETWEEN_BATCHES = 1e-2  # relative difference that the kernels of another batch size may make
HALF = {torch.bfloat16: 5e-2, torch.float16: 1e-2}  # of one forward of the embedded DiT
CALIBRATION = {"num_samples": 4, "k_max": 2, "seed": 999, "draw": 0, "unconditional": False}
ALPHA = 0.2
LOOK = "look at the lines about numerics above; if they are ok, report this"


def checks(model: Embedded) -> list[Check]:
    """The checks of one embedded model; calibration and half precision are tried on the DiT alone."""
    name = model.name
    every = [
        Check(f"{name}: same seeds", lambda: _same_again(model)),
        Check(f"{name}: other batch size", lambda: _other_batch(model)),
        Check(f"{name}: caching", lambda: _caching(model)),
        Check(f"{name}: after caching", lambda: _untouched(model)),
    ]
    if model.device != CPU:
        every.insert(0, Check(f"{name}: as on the CPU", lambda: _as_on_cpu(model)))
    if name == "dit_nano":
        every.append(Check(f"{name}: calibration", lambda: _calibration(model)))
        every += [
            Check(f"{name}: {dtype}", lambda dtype=dtype: _half(model, dtype))  # type: ignore[misc]
            for dtype in HALF
        ]
    return every


def _as_on_cpu(model: Embedded) -> Iterator[Finding]:
    error = relative_error(model.on_device.samples, model.on_cpu.samples)
    measured = f"{EVALUATIONS} evaluations, relative error {error:.0e} (at most {model.tolerance:.0e})"
    yield judged(error <= model.tolerance, f"{model.name}: as on the CPU", measured, LOOK)


def _same_again(model: Embedded) -> Iterator[Finding]:
    there = model.on_device
    same = torch.equal(latents(there.model, there.solver, SEEDS, silent), there.samples)
    measured = "the same bits again" if same else "other bits each time"
    advice = "its kernels are not deterministic: what differs by less than that is noise"
    yield judged(same, f"{model.name}: same seeds", measured, advice, otherwise="warn")


def _other_batch(model: Embedded) -> Iterator[Finding]:
    there, half = model.on_device, len(SEEDS) // 2
    error = relative_error(latents(there.model, there.solver, SEEDS[:half], silent), there.samples[:half])
    measured = f"batch {half} against {len(SEEDS)}: relative difference {error:.0e}"
    yield judged(error <= BETWEEN_BATCHES, f"{model.name}: other batch size", measured, LOOK)


def _caching(model: Embedded) -> Iterator[Finding]:
    subject, expected = f"{model.name}: caching", {EVALUATIONS // 2}
    samples, counts = cached_samples(model.on_device)
    if counts != expected or torch.equal(samples, model.on_device.samples):
        measured = f"every other evaluation was to be reused, but sites ran {sorted(counts)} times"
        yield Finding("FAIL", subject, measured, LOOK)
        return
    error = relative_error(samples, cached_samples(model.on_cpu)[0])
    measured = f"every other evaluation reused, relative error {error:.0e} (at most {model.tolerance:.0e})"
    yield judged(error <= model.tolerance, subject, measured, LOOK)


def _untouched(model: Embedded) -> Iterator[Finding]:
    there = model.on_device
    error = relative_error(latents(there.model, there.solver, SEEDS, silent), there.samples)
    measured = f"uncached samples differ by {error:.0e} from those before"
    yield judged(error <= model.tolerance, f"{model.name}: after caching", measured, LOOK)


def _calibration(model: Embedded) -> Iterator[Finding]:
    plans = []
    for sampled in (model.on_device, model.on_cpu):
        sites = find_sites(sampled.model.denoiser)
        curves = measure_curves(sampled.model, sites, sampled.solver, CALIBRATION)
        plans.append(SmoothCache(ALPHA, CALIBRATION["k_max"]).plan(curves.trajectory, curves))
    same = plans[0].computed == plans[1].computed
    measured = "SmoothCache plans as on the CPU" if same else "SmoothCache plans otherwise than on the CPU"
    advice = "an error lies within rounding of alpha, or numerics differ: see the lines above"
    yield judged(same, f"{model.name}: calibration", measured, advice, otherwise="warn")


@torch.no_grad()
def _half(model: Embedded, dtype: torch.dtype) -> Iterator[Finding]:
    exact, half = (model.build(model.device)[0] for _ in range(2))
    cast(half.denoiser, dtype)
    error = relative_error(_forward(half, dtype), _forward(exact, torch.float32))
    name = str(dtype).removeprefix("torch.")
    measured = f"one forward, relative error {error:.0e} (at most {HALF[dtype]:.0e})"
    yield judged(error <= HALF[dtype], f"{model.name}: {name}", measured, f"take another dtype than {name}")


def _forward(model: Model, dtype: torch.dtype) -> Tensor:
    x = torch.randn(2, *model.sample_shape, generator=torch.Generator().manual_seed(0))
    labels = model.labels_or_prompts(range(2)).to(model.device)
    timestep = torch.full((2,), 500, device=model.device)
    output = model.denoiser(
        x.to(model.device, dtype), timestep=timestep, class_labels=labels, return_dict=False
    )
    prediction: Tensor = output[0].float()
    return prediction
