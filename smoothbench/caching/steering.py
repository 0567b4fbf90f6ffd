"""Sample the calibration batch with the denoiser's outputs replaced while it runs."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from smoothbench.caching.announce import Announcer
from smoothbench.caching.evaluation_clock import Clock, Tick
from smoothbench.caching.forward_watch import watched
from smoothbench.caching.hooks import Forward
from smoothbench.caching.outputs import Rebuild, take_apart
from smoothbench.caching.sites import DENOISER
from smoothbench.caching.timestep import first_tensor
from smoothbench.caching.uncompiled import original_module, uncompiled


class Steer(Protocol):
    """Decides what a forward of the denoiser gives: its own output, or another one in its place."""

    def stand_in(self, tick: Tick, given: Tensor) -> Sequence[Tensor] | None:
        """Return the tensors of an output for the input `given` [B, ...]; None: the denoiser computes it."""
        ...

    def see(self, tick: Tick, given: Tensor, output: Sequence[Tensor]) -> None:
        """See the tensors of an output that the denoiser has computed."""
        ...


def steered(denoiser: nn.Module, evals: int, sample: Callable[[Announcer], Tensor], steer: Steer) -> Tensor:
    """Sample the batch while `steer` stands in for the denoiser where it wants to; return the final latents."""
    original = original_module(denoiser)
    clock = Clock(original.forward, evals)
    forwards = _Steered(clock, steer)
    with ExitStack() as stack:
        stack.enter_context(uncompiled(denoiser, []))
        stack.enter_context(watched(original, forwards.begin, forwards.end, forwards.instead))
        stack.enter_context(torch.no_grad())
        return sample(Announcer(clock))


class _Steered:
    """The forward under way."""

    def __init__(self, clock: Clock, steer: Steer) -> None:
        self._clock, self._steer = clock, steer
        self._tick: Tick | None = None
        self._given: Tensor | None = None
        self._rebuild: Rebuild | None = None
        self._computes = True

    def begin(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Place the forward in the run."""
        self._tick, self._given = self._clock.enter(args, kwargs), first_tensor(args, kwargs)

    def instead(self, original: Forward, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Run the forward, or give what stands in for it."""
        assert self._tick is not None and self._given is not None
        leaves = self._steer.stand_in(self._tick, self._given)
        self._computes = leaves is None
        if leaves is None:
            return original(*args, **kwargs)
        assert self._rebuild is not None  # the first evaluation is computed
        return self._rebuild(leaves)

    def end(self, failed: bool, output: Any) -> None:
        """Show what was computed."""
        if failed or not self._computes:
            return
        assert self._tick is not None and self._given is not None
        leaves, self._rebuild = take_apart(output, DENOISER)
        self._steer.see(self._tick, self._given, leaves)
