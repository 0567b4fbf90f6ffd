"""A run of a small DiT that computes its blocks at some evaluations and predicts what they add at the others."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from math import factorial
from typing import Any

import torch
from torch import Tensor, nn

SAMPLES = 2


@dataclass
class PlannedRun:
    """Samples two samples, guidance rows below them, in float64; every forward runs, and what is predicted replaces it.

    `streams[e]` is what the last block gave at evaluation e, [rows, tokens, width].
    """

    denoiser: nn.Module
    full: Collection[int]
    evals: int
    order: int = 0
    streams: list[Tensor] = field(default_factory=list)

    def final(self) -> Tensor:
        """The final latents of the conditional rows, [samples, 1, 8, 8]."""
        blocks = self.denoiser.get_submodule("transformer_blocks")
        first, last = blocks[0], blocks[-1]
        kept: list[tuple[int, Tensor]] = []
        entered: list[Tensor] = []

        def before(module: nn.Module, args: Any, kwargs: Any) -> None:
            entered.append(args[0] if args else kwargs["hidden_states"])

        def after(module: nn.Module, args: Any, output: Tensor) -> Tensor:
            e = len(self.streams)
            if e in self.full:
                kept.append((e, output - entered[-1]))
            else:
                output = entered[-1] + taylor(kept[-self.order - 1 :], e)
            self.streams.append(output)
            return output

        hooks = [
            first.register_forward_pre_hook(before, with_kwargs=True),
            last.register_forward_hook(after),
        ]
        try:
            return self._sampled()
        finally:
            for hook in hooks:
                hook.remove()

    def _sampled(self) -> Tensor:
        x = torch.randn(SAMPLES, 1, 8, 8, generator=torch.Generator().manual_seed(5)).double()
        x = x.repeat(2, 1, 1, 1)
        labels = torch.cat([torch.arange(SAMPLES) % 10, torch.full((SAMPLES,), 10)])
        with torch.inference_mode():
            for t in torch.linspace(999, 0, 12)[: self.evals].long():
                x = x - 0.2 * self.denoiser(x, timestep=t.expand(len(x)), class_labels=labels).sample
        return x[:SAMPLES]


def taylor(kept: Sequence[tuple[float, Tensor]], now: float) -> Tensor:
    """Expand outputs, the oldest first, in a Taylor series of difference quotients, as many as there are."""
    last = kept[-1][0]
    quotients = [output for _, output in kept]
    total = torch.zeros_like(quotients[0])
    for k in range(len(kept)):
        total = total + quotients[-1] * (now - last) ** k / factorial(k)
        steps = [kept[m + k + 1][0] - kept[m + k][0] for m in range(len(quotients) - 1)]
        quotients = [(b - a) / step for a, b, step in zip(quotients, quotients[1:], steps, strict=False)]
    return total
