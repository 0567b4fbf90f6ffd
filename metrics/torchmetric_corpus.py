"""Any metric of torchmetrics over all samples at once: what pools or compares whole sets."""

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_mean, dim_zero_sum

from metrics.features import Features, FloatArray
from metrics.score import BareScore, Score
from metrics.torchmetric import OfTorchmetrics, single_number

LONGEST: Final = 4096  # numbers that are stored of a sample
State = Mapping[str, Tensor | list[Tensor]]


class TorchMetricOverCorpus(OfTorchmetrics):
    """A torchmetrics metric over all samples: its states are kept for each sample, and merged as torchmetrics merges.

    What a metric accumulates (its states) is computed for each sample by itself, and merged by the metric's own rule,
    as between processes. Where all states are sums or means, the influence of a sample is what the value changes by
    when it is left out (the jackknife), so that there is an interval. Other metrics have none, and their score says
    so. The arguments are those of `metrics.torchmetric.OfTorchmetrics`.
    """

    name = "torchmetric_corpus"
    version = 1

    def per_sample(self, *inputs: Tensor) -> Tensor:
        """Compute the states of each sample by itself, float64 [B, S]; ValueError where the metric refuses a sample.

        Raises ValueError also where the states of a sample are more than 4096 numbers, or differ in size.
        """
        rows = [self._states(arguments) for arguments in self._given.by_sample(inputs)]
        if len({len(row) for row in rows}) > 1:
            raise ValueError(f"{type(self.metric).__name__} keeps states of different sizes: leave it out")
        return torch.stack(rows)

    def score(self, rows: Features) -> Score | BareScore:
        """Merge the states [N, S] of all samples to the metric's value; ValueError for fewer than 2, NaN and Inf."""
        states = np.asarray(rows, dtype=np.float64)
        if states.ndim != 2 or len(states) < 2:
            raise ValueError(f"{type(self.metric).__name__} needs the states of at least 2 samples, [N, S]")
        value = self._value(self._merged(states))
        if not self._is_additive:
            return BareScore(
                value, len(states), "no interval: torchmetrics merges samples otherwise than by sums"
            )
        return Score(value, self._influence(states))

    @property
    def _is_additive(self) -> bool:
        rules = self.metric._reductions
        return all(rule in (dim_zero_sum, dim_zero_mean) for rule in rules.values())

    def _influence(self, states: FloatArray) -> FloatArray:
        """The jackknife's: N - 1 times how far the value without a sample lies below the mean of all such values."""
        count, total = len(states), states.sum(axis=0)
        without = np.array([self._value(self._added(total - row, count - 1)) for row in states])
        return (count - 1) * (without.mean() - without)

    def _states(self, arguments: Sequence[Any]) -> Tensor:
        self.metric.reset()
        try:
            self._attempt(lambda: self.metric.update(*arguments))
            parts = [_packed(getattr(self.metric, name)) for name in self.metric._defaults]
        finally:
            self.metric.reset()
        row = torch.cat(parts)
        if len(row) > LONGEST:
            raise ValueError(
                f"{type(self.metric).__name__} keeps {len(row)} numbers of a sample, at most {LONGEST} are stored: "
                "take metrics.torchmetric.TorchMetric, or a metric that keeps less"
            )
        return row

    def _merged(self, states: FloatArray) -> State:
        """The states of all samples, merged by each state's own rule; lists of them are joined."""
        if self._is_additive:
            return self._added(states.sum(axis=0), len(states))
        by_sample = [_unpacked(row, self.metric._defaults) for row in states]
        return {name: self._reduced(name, [one[name] for one in by_sample]) for name in self.metric._defaults}

    def _reduced(self, name: str, values: list[Any]) -> Tensor | list[Tensor]:
        rule = self.metric._reductions[name]
        if isinstance(self.metric._defaults[name], list):
            return [tensor for tensors in values for tensor in tensors]
        if not callable(rule):
            raise ValueError(
                f"{type(self.metric).__name__} does not say how its `{name}` of samples is merged"
            )
        merged: Tensor = rule(torch.stack(values))
        return merged

    def _added(self, total: FloatArray, count: int) -> State:
        """The states of `count` samples from the sum of them, where all are sums or means."""
        state, start = {}, 0
        for name, default in self.metric._defaults.items():
            assert isinstance(default, Tensor)  # as all states are sums or means
            size = default.numel()
            part = torch.from_numpy(total[start : start + size]).reshape(default.shape)
            state[name] = part / count if self.metric._reductions[name] is dim_zero_mean else part
            start += size
        return state

    def _value(self, state: State) -> float:
        """The metric's value of merged states, computed in float64."""
        self.metric.reset()
        try:
            for name, default in self.metric._defaults.items():
                setattr(self.metric, name, _like(state[name], default, self.metric.device))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that nothing was updated: the states were set
                result = self._attempt(self.metric.compute)
        finally:
            self.metric.reset()
        value = float(single_number(result, self._output, self.metric))
        if self._cap is not None:
            value = min(max(value, -self._cap), self._cap)
        if not np.isfinite(value):
            raise ValueError(f"{type(self.metric).__name__} is {value}: look for broken samples")
        return value


def _packed(state: Any) -> Tensor:
    """A state as one row of numbers; before those of each tensor of a list stand its type, dimensions and sizes."""
    if isinstance(state, Tensor):
        return state.detach().cpu().double().flatten()
    parts = [torch.tensor([len(state)])]
    for tensor in state:
        head = [int(tensor.is_floating_point()), tensor.ndim, *tensor.shape]
        parts += [torch.tensor(head), tensor.detach().cpu().flatten()]
    return torch.cat([part.double() for part in parts])


def _unpacked(row: FloatArray, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The states of a sample from its row of numbers."""
    numbers, state = iter(row.tolist()), dict[str, Any]()
    for name, default in defaults.items():
        if isinstance(default, Tensor):
            state[name] = _taken(numbers, tuple(default.shape))
            continue
        tensors = []
        for _ in range(int(next(numbers))):
            is_float, ndim = int(next(numbers)), int(next(numbers))
            values = _taken(numbers, tuple(int(next(numbers)) for _ in range(ndim)))
            tensors.append(values if is_float else values.round().long())
        state[name] = tensors
    return state


def _taken(numbers: Iterator[float], shape: tuple[int, ...]) -> Tensor:
    values = list(islice(numbers, math.prod(shape)))
    return torch.tensor(values, dtype=torch.float64).reshape(shape)


def _like(value: Any, default: Any, device: torch.device) -> Any:
    """A merged state in the type of the metric's own: counts stay whole, everything else is float64."""
    if isinstance(value, list):
        return [tensor.to(device) for tensor in value]
    is_count = not default.is_floating_point()
    return (value.round().to(default.dtype) if is_count else value).to(device)
