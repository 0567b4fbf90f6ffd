"""One sampling run of a fast forward: its parts, and the outputs or sums that it keeps."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from smoothbench.caching.evaluation_clock import Tick
from smoothbench.caching.fast.gaps import Gaps
from smoothbench.caching.fast.parts import Inputs, Parts, SummedParts
from smoothbench.caching.fast.planner import Plan
from smoothbench.caching.fast.steps import Kept
from smoothbench.caching.fast.sums import Sums
from smoothbench.caching.predictor import Weighted

NOTHING: Kept = ((), ())


class FastRun:
    """A sampling run's forwards of one index.

    `gaps` are those of its schedule, where sums can be added up ahead; `full` is the plan of a forward that computes
    everything.
    """

    def __init__(
        self,
        parts: Parts,
        predictors: Sequence[Weighted],
        inputs: Inputs,
        gaps: Gaps | None = None,
        full: Plan | None = None,
    ) -> None:
        self.parts, self.predictors = parts, predictors
        self.names = inputs.keys()
        self.opened: dict[int, Tensor] = {}
        self.history: list[Kept] = [NOTHING] * len(predictors)
        self.again = 0  # forwards that were computed once more, as a run went on otherwise than planned
        self._gaps, self._full = gaps, full
        self._sums: Sums | None = None
        self._now = 0.0
        # of the present forward, by predictor and coordinates
        self._weights: dict[tuple[int, tuple[float, ...]], Sequence[float]] = {}
        self._coordinates: dict[tuple[float, ...], tuple[float, ...]] = {}

    def forward(self, tick: Tick, now: float, planned: Plan, inputs: Inputs) -> Any:
        """Run one forward as it is planned."""
        if isinstance(self.parts, SummedParts):
            stream = self._with_sums(self.parts, tick, now, planned, inputs)
        else:
            stream = self._by_steps(self.parts.embed(tick.e, announced(tick), inputs), now, planned)
        return self.parts.head(stream, inputs)

    def go_on_with(self, parts: Parts, e: int) -> None:
        """Have other parts answer from evaluation `e` on, as conditions have changed."""
        self._keep_outputs(e)
        self.parts = parts

    def keep(self, slot: int, output: Tensor) -> None:
        """Keep a computed output, and drop the oldest one that no prediction needs any more."""
        coordinates, outputs = self.history[slot]
        older = self.predictors[slot].depth - 1
        at = (self._now, *coordinates[:older])
        # one tuple for all slots that were computed together, which are then told by its identity
        self.history[slot] = self._coordinates.setdefault(at, at), (output, *outputs[:older])

    def weights(self, predictor: Weighted, coordinates: tuple[float, ...]) -> Sequence[float]:
        """Return a predictor's weights of outputs kept at these coordinates, at the present one."""
        key = (id(predictor), coordinates)
        weights = self._weights.get(key)
        if weights is None:
            weights = self._weights[key] = predictor.weights(coordinates, self._now)
        return weights

    @property
    def kept_bytes(self) -> int:
        """The size of all that is kept for later evaluations."""
        outputs = sum(output.nbytes for _, outputs in self.history for output in outputs)
        return outputs + (0 if self._sums is None else self._sums.nbytes)

    def _by_steps(self, stream: Tensor, now: float, planned: Plan) -> Tensor:
        """The stream behind the last step of a forward."""
        self._now, self._weights, self._coordinates = now, {}, {}
        for step in planned.steps:
            stream = step(self, stream)
        return stream

    def _with_sums(self, parts: SummedParts, tick: Tick, now: float, planned: Plan, inputs: Inputs) -> Tensor:
        """The last stream of a forward whose kept outputs can be added up before it is embedded."""
        as_planned = parts.at(tick.e, announced(tick), inputs)
        if tick.e == 0 and as_planned:
            self._sums = Sums.of(self._gaps, parts, parts.rows(inputs))
        if self._sums is not None and not (as_planned and self._sums.expects(tick.e, now)):
            self._keep_outputs(tick.e)
            parts.at(tick.e, announced(tick), inputs)
        sums = self._sums
        if planned.adds_up:
            if sums is not None:
                return parts.onto(sums.take(tick.e), inputs)
            # `repeat` would take four times as long
            ground = parts.ground.expand(parts.rows(inputs), -1, -1).clone()
            return parts.onto(self._by_steps(ground, now, planned), inputs)
        if sums is None:
            return self._by_steps(parts.tokens(inputs), now, planned)
        return sums.compute(tick, now, parts, inputs)

    def _keep_outputs(self, e: int) -> None:
        """Keep outputs from evaluation `e` on, those included of which there are only sums."""
        sums, self._sums = self._sums, None
        if sums is None:
            return
        assert self._full is not None
        for tick, now, inputs, parts in sums.needed_from(e):
            stream, here, self.parts = parts.embed(tick.e, announced(tick), inputs), self.parts, parts
            self._by_steps(stream, now, self._full)
            self.parts, self.again = here, self.again + 1


def announced(tick: Tick) -> float | None:
    """Return the coordinate that the sampling loop announced, None where it announced none."""
    return tick.coordinate if tick.is_announced else None
