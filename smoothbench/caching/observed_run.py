"""Sample the calibration batch without a cache, while a recorder sees what probes give."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from smoothbench.caching.announce import Announcer
from smoothbench.caching.evaluation_clock import Clock
from smoothbench.caching.forward_watch import watched
from smoothbench.caching.hooks import intercepted
from smoothbench.caching.probes import INPUT, OUTPUT, Probe, input_wraps, probed_sites
from smoothbench.caching.recording import RecordingRuns
from smoothbench.caching.site_wraps import Observer, site_wraps
from smoothbench.caching.sites import DENOISER, Site
from smoothbench.caching.timestep import first_tensor
from smoothbench.caching.uncompiled import original_module, uncompiled


def observed(
    handle: nn.Module,
    sites: Sequence[Site],
    sample: Callable[[Announcer], Tensor],
    recorder: RecordingRuns,
    probes: Sequence[Probe],
) -> Tensor:
    """Sample the batch without a cache, while a recorder sees the probes; return the final latents."""
    denoiser = original_module(handle)
    places = dict(zip(probes, probed_sites(denoiser, sites, probes), strict=True))
    outputs = [places[probe] for probe in probes if probe.of == OUTPUT]
    inputs = [probe for probe in probes if probe.of == INPUT and probe.site != DENOISER]
    seen = [partial(recorder.add, probe) for probe in inputs]
    wraps = input_wraps(denoiser, [places[probe] for probe in inputs], seen)
    wraps += site_wraps(denoiser, outputs, _Outputs(recorder, outputs))
    clock = Clock(denoiser.forward, None)
    of_denoiser = [probe for probe in probes if probe.site == DENOISER]

    def begin(args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        tick, entered = clock.enter(args, kwargs), first_tensor(args, kwargs)
        recorder.begin(tick, len(entered))
        for probe in of_denoiser:
            if probe.of == INPUT:
                recorder.add(probe, entered)

    def end(failed: bool, output: Any) -> None:
        for probe in [] if failed else of_denoiser:
            if probe.of == OUTPUT:
                recorder.add(probe, output)

    with ExitStack() as stack:
        stack.enter_context(intercepted(denoiser, wraps))
        stack.enter_context(uncompiled(handle, [module for module, _ in wraps]))
        stack.enter_context(watched(denoiser, begin, end))
        stack.enter_context(torch.no_grad())
        return sample(Announcer(clock))


class _Outputs(Observer):
    """Records what sites give."""

    def __init__(self, recorder: RecordingRuns, sites: Sequence[Site]) -> None:
        super().__init__()
        self._recorder, self._sites = recorder, sites

    def keep(self, i: int, output: Any) -> None:
        """Record what site `i` gave."""
        super().keep(i, output)
        self._recorder.add(Probe(self._sites[i].name), output)
