"""TaylorSeer, PAB, MagCache and Delta-DiT on a small DiT in float64, with plain loops and the state of their codes."""

from collections.abc import Callable
from functools import partial
from math import factorial
from typing import Any

from torch import Tensor, nn

from tests.oracles.block_by_block import EVALS, BlockByBlock

Compute = Callable[[], Tensor]


class ByBranch(BlockByBlock):
    """Runs a DiT branch by branch; `keep` says what each branch gives, before its gate. It notes what was computed."""

    def __init__(self, denoiser: nn.Module) -> None:
        super().__init__(denoiser)
        self.computed: dict[tuple[int, str], list[int]] = {}

    def __call__(self, e: int, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        h = self.enter(x)
        for b, block in enumerate(self.denoiser.transformer_blocks):
            normed, gate, shift, scale, gate_ff = block.norm1(h, t, labels, hidden_dtype=h.dtype)
            h = h + gate[:, None] * self.branch(e, t, (b, "self_attn"), partial(block.attn1, normed))
            normed = block.norm3(h) * (1 + scale[:, None]) + shift[:, None]
            h = h + gate_ff[:, None] * self.branch(e, t, (b, "ff"), partial(block.ff, normed))
        return self.leave(h, t, labels)

    def branch(self, e: int, t: Tensor, place: tuple[int, str], compute: Compute) -> Tensor:
        def noted() -> Tensor:
            self.computed.setdefault(place, []).append(e)
            return compute()

        return self.keep(e, float(t[0]), place, noted)

    def keep(self, e: int, t: float, place: tuple[int, str], compute: Compute) -> Tensor:
        raise NotImplementedError


class TaylorSeerByHand(ByBranch):
    """Steps count down from EVALS - 1; factors are the derivatives that the last computed step left."""

    def __init__(self, denoiser: nn.Module, interval: int, first_enhance: int, order: int) -> None:
        super().__init__(denoiser)
        self.interval, self.first_enhance, self.order = interval, first_enhance, order
        self.counter, self.full, self.activated, self.step = 0, True, [EVALS - 1], EVALS
        self.factors: dict[Any, list[Tensor]] = {}

    def keep(self, e: int, t: float, place: tuple[int, str], compute: Compute) -> Tensor:
        step = EVALS - 1 - e
        if step != self.step:  # the first branch of an evaluation
            self.step = step
            first = step > EVALS - self.first_enhance - 1
            self.full = first or self.counter == self.interval - 1
            self.counter = 0 if self.full else self.counter + 1
            if self.full:
                self.activated.append(step)
        if not self.full:
            x = step - self.activated[-1]
            return sum(f * x**i / factorial(i) for i, f in enumerate(self.factors[place]))  # type: ignore[return-value]
        new, old = [compute()], self.factors.get(place, [])
        for i in range(min(self.order, len(old))):
            new.append((new[i] - old[i]) / (self.activated[-1] - self.activated[-2]))
        self.factors[place] = new
        return new[0]


class PABByHand(ByBranch):
    """Each attention has a counter, and what it gave last; feed-forward layers are computed."""

    def __init__(self, denoiser: nn.Module, window: int, low: float, high: float) -> None:
        super().__init__(denoiser)
        self.window, self.low, self.high = window, low, high
        self.counts: dict[Any, int] = {}
        self.last: dict[Any, Tensor] = {}

    def keep(self, e: int, t: float, place: tuple[int, str], compute: Compute) -> Tensor:
        if place[1] == "ff":
            return compute()
        count = self.counts.get(place, 0)
        self.counts[place] = count + 1
        if not (count % self.window != 0 and self.low < t < self.high):
            self.last[place] = compute()
        return self.last[place]


class MagCacheByHand(BlockByBlock):
    """Without ratios it measures them, as the calibration of the published code does; with them it skips."""

    def __init__(self, denoiser: nn.Module, ratios: list[float] | None = None, **rule: float) -> None:
        super().__init__(denoiser)
        self.ratios, self.rule = ratios, rule
        self.measured = [1.0]
        self.computed: list[int] = []
        self.last: Tensor | None = None
        self.product, self.error, self.steps = 1.0, 0.0, 0

    def __call__(self, e: int, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        h = self.enter(x)
        if self.last is not None and self.skips(e):
            return self.leave(h + self.last, t, labels)
        self.computed.append(e)
        added = self.blocks(0, self.depth, h, t, labels) - h
        if self.last is not None:
            new, old = added.pow(2).sum(-1).sqrt(), self.last.pow(2).sum(-1).sqrt()
            self.measured.append(float((new / old).mean()))
        self.last = added
        return self.leave(h + added, t, labels)

    def skips(self, e: int) -> bool:
        if self.ratios is None or e < int(self.rule["retention"] * EVALS + 0.5):
            return False
        self.product *= self.ratios[e]
        self.steps += 1
        self.error += abs(1 - self.product)
        if self.error <= self.rule["threshold"] and self.steps <= self.rule["k_max"]:
            return True
        self.product, self.error, self.steps = 1.0, 0.0, 0
        return False


class DeltaDiTByHand(BlockByBlock):
    """Adds what a range of blocks added when it last ran: the last blocks in the first stage, then the first ones."""

    def __init__(self, denoiser: nn.Module, interval: int, count: int, boundary: int) -> None:
        super().__init__(denoiser)
        self.interval, self.count, self.boundary = interval, count, boundary
        self.deltas: dict[str, Tensor] = {}
        self.blocks_run = [0] * EVALS

    def __call__(self, e: int, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        rear = e < self.boundary
        start, stop = (self.depth - self.count, self.depth) if rear else (0, self.count)
        h = self.run(e, 0, start, self.enter(x), t, labels)
        skips = e % self.interval > 0
        h = h + self.delta(start, stop) if skips else self.run(e, start, stop, h, t, labels)
        return self.leave(self.run(e, stop, self.depth, h, t, labels), t, labels)

    def run(self, e: int, first: int, last: int, h: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        for b in range(first, last):
            new = self.blocks(b, b + 1, h, t, labels)
            self.deltas[f"{b}"] = new - h
            h = new
            self.blocks_run[e] += 1
        return h

    def delta(self, first: int, last: int) -> Tensor:
        return sum(self.deltas[f"{b}"] for b in range(first, last))  # type: ignore[return-value]
