"""Checks that torch.compile works here, on the embedded DiT under a schedule."""

import time
from collections.abc import Iterator

from smoothbench.caching.compiled import Compiled
from smoothbench.running.doctor.embedded import SEEDS, Embedded, alternating, cached_samples
from smoothbench.running.doctor.finding import Check, Finding, judged
from smoothbench.running.doctor.numerics import relative_error
from smoothbench.sampling.loop import latents

TOLERANCE = 1e-3  # relative; fused kernels round otherwise


def checks(model: Embedded) -> list[Check]:
    """The check of torch.compile."""
    return [Check("torch.compile", lambda: _compiles(model))]


def _compiles(model: Embedded) -> Iterator[Finding]:
    there, started = model.on_device, time.perf_counter()
    graphs = Compiled(there.model.denoiser)
    with graphs.following(alternating(there)) as clock:
        samples = latents(there.model, there.solver, SEEDS, clock.announce)
    took = time.perf_counter() - started
    error = relative_error(samples, cached_samples(there)[0])
    yield judged(
        error <= TOLERANCE,
        "torch.compile",
        f"two graphs in {took:.0f} s, relative difference to eager {error:.0e}",
        "measure latency.also.mode=[eager] alone",
    )
