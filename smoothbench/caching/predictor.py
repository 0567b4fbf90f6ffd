"""Predictors: linear combinations of the last computed outputs, used in place of a skipped one."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import factorial
from typing import Protocol, runtime_checkable

from torch import Tensor

History = Sequence[tuple[float, Tensor]]  # (step coordinate, output), the newest first


class Predictor(Protocol):
    """Predicts the output at coordinate `now` from up to `depth` computed ones.

    `coordinate` is "index" (of the evaluation, as published) or "timestep".
    """

    @property
    def depth(self) -> int: ...

    @property
    def coordinate(self) -> str: ...

    def __call__(self, history: History, now: float) -> Tensor: ...


@runtime_checkable
class Weighted(Predictor, Protocol):
    """A predictor that can tell its weights apart from the outputs, so that they can be added in one pass.

    A class that derives from it needs `weights`, `depth` and `coordinate` alone.
    """

    def weights(self, coordinates: Sequence[float], now: float) -> Sequence[float]:
        """Return the weight of each output at `coordinates`, the newest first, in the prediction at `now`."""
        ...

    def __call__(self, history: History, now: float) -> Tensor:
        """Add up the kept outputs with these weights."""
        return weighted_sum(self.weights([coordinate for coordinate, _ in history], now), history)


@dataclass(frozen=True)
class Reuse:
    """Repeats the last computed output unchanged (FORA, SmoothCache, Learning-to-Cache)."""

    depth: int = 1
    coordinate: str = "index"
    name = "reuse"
    version = 1

    def weights(self, coordinates: Sequence[float], now: float) -> list[float]:
        """Weight the newest output alone, by 1."""
        return [1.0, *[0.0] * (len(coordinates) - 1)]

    def __call__(self, history: History, now: float) -> Tensor:
        return history[0][1]


@dataclass(frozen=True)
class Taylor(Weighted):
    """Expands the last outputs in a Taylor series of finite differences, in fp32 (arXiv 2503.06923, eq. 6).

    TaylorSeer's predictor. The order falls to what the history holds. Raises ValueError unless 1 <= order <= 4.
    """

    order: int = 1
    coordinate: str = "index"
    name = "taylor"
    version = 1

    def __post_init__(self) -> None:
        if type(self.order) is not int or self.order not in (1, 2, 3, 4):
            raise ValueError(f"the order of a Taylor predictor must be 1, 2, 3 or 4, not {self.order}")
        if self.coordinate not in ("index", "timestep"):
            raise ValueError(f"a predictor's coordinate is 'index' or 'timestep', not {self.coordinate!r}")

    @property
    def depth(self) -> int:
        """The number of outputs to keep: one more than the order."""
        return self.order + 1

    def weights(self, coordinates: Sequence[float], now: float) -> list[float]:
        """Weight the newest output at each coordinate: some samplers evaluate a timestep twice."""
        if len(set(coordinates)) == len(coordinates):
            return taylor_weights(coordinates, now)
        places = {c: place for place, c in reversed(list(enumerate(coordinates)))}
        distinct = sorted(places.values())
        weights = [0.0] * len(coordinates)
        for place, weight in zip(
            distinct, taylor_weights([coordinates[p] for p in distinct], now), strict=True
        ):
            weights[place] = weight
        return weights


def weighted_sum(weights: Sequence[float], history: History) -> Tensor:
    """Add up kept outputs with a weight for each, in float32; the result has the dtype of the newest."""
    newest = history[0][1]
    total = newest.float() * weights[0]
    for weight, (_, output) in zip(weights[1:], history[1:], strict=True):
        if weight:
            total.add_(output, alpha=weight)
    return total.to(newest.dtype)


def taylor_weights(coordinates: Sequence[float], now: float) -> list[float]:
    """Weights of the outputs at `coordinates` (newest first) in their Taylor expansion at `now`."""
    distance = now - coordinates[0]
    return expansion(coordinates, [distance**k / factorial(k) for k in range(len(coordinates))])


def expansion(coordinates: Sequence[float], scales: Sequence[float]) -> list[float]:
    """Weights of the outputs at `coordinates` (newest first) in a sum of their derivatives: the k-th times scales[k].

    The k-th derivative at output j is the difference quotient of the (k-1)-th at j and j+1; the newest ones are added.
    """
    count = len(coordinates)
    derivatives = [[1.0 if i == j else 0.0 for i in range(count)] for j in range(count)]
    weights = [scales[0] * weight for weight in derivatives[0]]
    for k in range(1, len(scales)):
        for j in range(count - k):
            step = coordinates[j] - coordinates[j + 1]
            derivatives[j] = [(a - b) / step for a, b in zip(derivatives[j], derivatives[j + 1], strict=True)]
        weights = [w + scales[k] * d for w, d in zip(weights, derivatives[0], strict=True)]
    return weights


def predictor_from(name: "str | Predictor") -> Predictor:
    """A predictor by its short name: `reuse`, or `taylor1` to `taylor4`."""
    if not isinstance(name, str) and hasattr(name, "depth"):
        return name
    if name == "reuse":
        return Reuse()
    if name in ("taylor1", "taylor2", "taylor3", "taylor4"):
        return Taylor(order=int(name[-1]))
    raise ValueError(f"no predictor {name!r}: there are reuse, taylor1, taylor2, taylor3, taylor4")
