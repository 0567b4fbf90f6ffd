"""SpeCa, written out in float64 from its rule: forecasts of two runs of blocks, checked by the second."""

from dataclasses import dataclass, field
from math import factorial

from torch import Tensor

from tests.oracles.block_by_block import EVALS, BlockByBlock


class Factors:
    """Finite differences of an output over the computed evaluations, and the Taylor series on them."""

    def __init__(self, order: int) -> None:
        self.order, self.at, self.terms = order, 0, list[Tensor]()

    def update(self, e: int, output: Tensor) -> None:
        terms = [output]
        for older in self.terms[: self.order]:
            terms.append((terms[-1] - older) / (e - self.at))
        self.at, self.terms = e, terms

    def forecast(self, e: int) -> Tensor:
        return sum((e - self.at) ** k / factorial(k) * term for k, term in enumerate(self.terms))  # type: ignore


@dataclass
class SpeCaOracle:
    """One forward of an evaluation under SpeCa."""

    model: BlockByBlock
    threshold: float
    order: int = 2
    decay: float = 0.05
    floor: float = 0.01
    min_forecasts: int = 3
    max_forecasts: int = 8
    warmup: int = 3
    computed: list[int] = field(default_factory=list)
    checked: list[int] = field(default_factory=list)
    margins: list[float] = field(default_factory=list)  # of the errors to what is allowed
    row: int = 0
    error: float | None = None

    def __post_init__(self) -> None:
        self.body, self.tail = Factors(self.order), Factors(self.order)

    def __call__(self, e: int, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        h, last = self.model.enter(x), self.model.depth - 1
        if self._is_full(e):
            middle = self.model.blocks(0, last, h, t, labels)
            end = self.model.blocks(last, last + 1, middle, t, labels)
            self.body.update(e, middle - h)
            self.tail.update(e, end - middle)
            self.row, self.error = 0, None
            self.computed.append(e)
        else:
            middle = h + self.body.forecast(e)
            end = middle + self.tail.forecast(e)
            if self.row >= self.min_forecasts:
                real = self.model.blocks(last, last + 1, middle, t, labels)
                self.error = float(((end - real).abs() / (real.abs() + 1e-10)).mean())
                self.checked.append(e)
            self.row += 1
        return self.model.leave(end, t, labels)

    def _is_full(self, e: int) -> bool:
        allowed = max(self.floor, self.threshold * self.decay ** ((e + 1) / EVALS))
        if self.error is not None:
            self.margins.append(self.error / allowed)
        return (
            e == 0
            or e < self.warmup
            or self.row >= self.max_forecasts
            or (self.error is not None and self.error > allowed)
        )
