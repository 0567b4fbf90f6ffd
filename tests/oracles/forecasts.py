"""Forecasts of skipped outputs, written out tensor by tensor in float64 around a denoiser's own modules.

A rule is a function of the past (evaluation, output, whether it was computed), the newest last, and the evaluation
that is to be predicted. Every module runs at every evaluation; where it is skipped, the rule's output replaces its own.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from math import factorial
from typing import Any

import torch
from torch import Tensor, nn

Past = list[tuple[int, Tensor, bool]]
Rule = Callable[[Past, int], Tensor]


class Forecast:
    """Replaces the outputs of modules, or what a run of blocks adds, by a rule's where `full[evaluation]` is False."""

    def __init__(self, full: Sequence[bool], rules: Callable[[str], Rule]) -> None:
        self.full, self.rules, self.evaluation = full, rules, 0
        self.past: dict[str, Past] = {}

    def stand_in(self, name: str, output: Tensor) -> Tensor:
        """Return the output where it is computed, else the rule's; either becomes part of the past."""
        past, computed = self.past.setdefault(name, []), self.full[self.evaluation]
        value = output if computed else self.rules(name)(past, self.evaluation)
        past.append((self.evaluation, value, computed))
        return value

    @contextmanager
    def of_branches(self, denoiser: nn.Module, paths: dict[str, str]) -> Iterator[None]:
        """Replace the outputs of the modules at these paths, by name."""
        handles = [
            denoiser.get_submodule(path).register_forward_hook(
                lambda module, args, output, name=name: self.stand_in(name, output)
            )
            for name, path in paths.items()
        ]
        yield
        for handle in handles:
            handle.remove()

    @contextmanager
    def of_stack(self, denoiser: nn.Module, name: str, first: str, last: str) -> Iterator[None]:
        """Replace what the blocks from `first` to `last` add to the stream."""
        entered: list[Tensor] = []

        def after(module: nn.Module, args: Any, output: Tensor) -> Tensor:
            stream = entered.pop()
            return stream + self.stand_in(name, output - stream)

        before = denoiser.get_submodule(first).register_forward_pre_hook(
            lambda module, args: entered.append(args[0])
        )
        handle = denoiser.get_submodule(last).register_forward_hook(after)
        yield
        before.remove()
        handle.remove()


def computed_outputs(past: Past) -> list[tuple[int, Tensor]]:
    """The outputs that were computed, the newest first."""
    return [(e, output) for e, output, computed in past if computed][::-1]


def differences(outputs: list[tuple[int, Tensor]], order: int) -> list[Tensor]:
    """The newest difference quotient of each order from 1 on, as far as there are outputs."""
    newest, rows = [], outputs
    for _ in range(order):
        if len(rows) < 2:
            break
        rows = [(e, (y - older) / (e - at)) for (e, y), (at, older) in pairwise(rows)]
        newest.append(rows[0][1])
    return newest


def hicache(past: Past, now: int, order: int = 2, scale: float = 0.5) -> Tensor:
    """F + sum_i D^i F / i! * s^i * H_i(s k), with Hermite's polynomials written out."""
    outputs = computed_outputs(past)
    e, total = outputs[0]
    x = scale * (now - e)
    hermite = [2 * x, 4 * x**2 - 2, 8 * x**3 - 12 * x, 16 * x**4 - 48 * x**2 + 12]
    for i, difference in enumerate(differences(outputs, order), 1):
        total = total + difference * scale**i * hermite[i - 1] / factorial(i)
    return total


def chebbooster(past: Past, now: int, depth: int = 3) -> Tensor:
    """Equation 9 on the nodes of the history, mapped to [-1, 1]."""
    outputs = computed_outputs(past)[:depth][::-1]
    if len(outputs) == 1:
        return outputs[0][1]
    first, last = outputs[0][0], outputs[-1][0]
    target = 2 * (now - first) / (last - first) - 1
    above, below = torch.zeros_like(outputs[0][1]), 0.0
    for j, (e, output) in enumerate(outputs, 1):
        node = 2 * (e - first) / (last - first) - 1
        rho = (-1) ** j * (0.5 if j in (1, len(outputs)) else 1.0)
        above, below = above + rho / (target - node) * output, below + rho / (target - node)
    return above / below


def adams_bashforth(past: Past, now: int, order: int = 2) -> Tensor:
    """2, -1 or 3, -3, 1 times the last computed outputs."""
    outputs = [output for _, output in computed_outputs(past)[:order]]
    weights = {1: [1], 2: [2, -1], 3: [3, -3, 1]}[len(outputs)]
    return sum((weight * y for weight, y in zip(weights, outputs, strict=True)), torch.zeros_like(outputs[0]))


def foca(past: Past, now: int, slope_values: int = 2) -> Tensor:
    """Equations 6 to 8 on the last values, predicted ones included, and on the last two computed ones."""
    full = computed_outputs(past)
    if len(full) == 1:
        return full[0][1]
    (at, newest), (before, older) = full[:2]
    reliable = (newest - older) / (at - before)
    (first, origin), (started, second) = full[-1], full[-2]

    def change(e: int) -> Tensor:  # the values before the second computed output were repeated, not predicted
        return (second - origin) / (started - first) if e <= started else past[e][1] - past[e - 1][1]

    latest, k = past[-1][1], now - 1
    before_latest, before_that = latest - change(k), latest - change(k) - change(k - 1)
    slope = change(k) if slope_values == 2 else (3 * latest - 4 * before_latest + before_that) / 2
    forecast = 4 / 3 * latest - before_latest / 3 + 2 / 3 * slope
    forecast_slope = (3 * forecast - 4 * latest + before_latest) / 2
    return latest + (reliable + forecast_slope) / 2


def least_squares(recorded: Sequence[Tensor], ridge: float = 1e-5) -> Rule:
    """L2P: the weights of the computed outputs that best give the recorded one, from all values one by one."""

    def rule(past: Past, now: int) -> Tensor:
        outputs = computed_outputs(past)
        columns = torch.stack([recorded[e].flatten() for e, _ in outputs], 1)
        weight = ridge * columns.square().sum(0).mean()
        penalty = weight.sqrt() * torch.eye(len(outputs), dtype=columns.dtype)
        reuse = torch.zeros(len(outputs), dtype=columns.dtype)
        reuse[0] = weight.sqrt()
        target = torch.cat([recorded[now].flatten(), reuse])
        solution = torch.linalg.lstsq(torch.cat([columns, penalty]), target[:, None]).solution[:, 0]
        return sum(
            (w * y for w, (_, y) in zip(solution, outputs, strict=True)), torch.zeros_like(outputs[0][1])
        )

    return rule


def scaled_change(recorded: Sequence[Tensor]) -> Rule:
    """ScalingCache: a = <y_e - y, k dy> / <k dy, k dy> on the recorded outputs, then y + a k dy on those of the run."""

    def rule(past: Past, now: int) -> Tensor:
        outputs = computed_outputs(past)
        if len(outputs) == 1:
            return outputs[0][1]
        (at, newest), (before, older) = outputs[:2]
        along = (now - at) * (recorded[at] - recorded[before]) / (at - before)
        share = ((recorded[now] - recorded[at]) * along).sum() / along.square().sum()
        return newest + share * (now - at) * (newest - older) / (at - before)

    return rule
