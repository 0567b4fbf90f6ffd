"""The fast forward: a denoiser's own arithmetic around its branches, planned once for each set of computed sites."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from smoothbench.caching.evaluation_clock import Tick
from smoothbench.caching.fast.chain import Term
from smoothbench.caching.fast.parts import Architecture, Inputs, Parts
from smoothbench.caching.fast.slots import Bits, Slot
from smoothbench.caching.fast.steps import Plan, plan
from smoothbench.caching.fast.unchanged import needs_gradients
from smoothbench.caching.predictor import Weighted

Kept = tuple[tuple[float, ...], tuple[Tensor, ...]]  # coordinates and outputs, the newest first
NOTHING: Kept = ((), ())


class FastForward:
    """Runs the forwards of a denoiser from its parts: equal to the engine's other way within rounding.

    `coordinates` are the timesteps of the run; a slot is kept where `may_skip` says that a site of it is ever reused.
    """

    def __init__(
        self,
        architecture: Architecture,
        slots: Sequence[Slot],
        predictor: Weighted,
        coordinates: Sequence[float],
        may_skip: Sequence[bool],
    ) -> None:
        self._architecture, self._slots, self._coordinates = architecture, slots, coordinates
        self._predictor = predictor
        self._kept = [any(may_skip[i] for i in slot.sites) for slot in slots]
        self._plans: dict[tuple[bool, ...], Plan] = {}
        self._runs: dict[int | str, _Run] = {}  # by forward of an evaluation
        self._answers = False

    def answers(self, tick: Tick, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
        """Return whether this forward can run from the parts; it is found out where a run starts.

        Raises ValueError where a later forward of the run has arguments that the first one had not.
        """
        if tick.starts_run:
            self.forget()
            self._answers = self._can_begin(args, kwargs)
        elif self._answers and self._inputs(args, kwargs) is None:
            raise ValueError(
                f"evaluation {tick.e} gives the {type(self._architecture.denoiser).__name__} arguments that the first "
                "one did not give: pass fast=False to cached(...)"
            )
        return self._answers

    def __call__(
        self, tick: Tick, now: float, bits: Bits, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Any, Sequence[int]]:
        """Run one forward at coordinate `now`; return its output and the numbers of the sites that it computed."""
        inputs = self._inputs(args, kwargs)
        assert inputs is not None
        run = self._runs.get(tick.forward_index)
        if run is None:
            parts = self._architecture.begin(inputs, self._coordinates)
            run = self._runs[tick.forward_index] = _Run(parts, self._predictor, len(self._slots))
        elif not run.parts.holds(inputs):
            run.parts = self._architecture.begin(inputs, self._coordinates)
        planned = self._planned(tuple(bits))
        return run.forward(tick, now, planned, inputs), planned.computed

    @property
    def kept_bytes(self) -> int:
        """The size of all kept outputs."""
        return sum(run.kept_bytes for run in self._runs.values())

    def forget(self) -> None:
        """Drop everything of the run under way."""
        self._runs = {}

    def _inputs(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Inputs | None:
        inputs = self._architecture.inputs(args, kwargs)
        return inputs if inputs is not None and self._architecture.takes(inputs) else None

    def _can_begin(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
        architecture = self._architecture
        return (
            architecture.is_unchanged()
            and not needs_gradients(architecture.denoiser)
            and self._inputs(args, kwargs) is not None
        )

    def _planned(self, bits: tuple[bool, ...]) -> Plan:
        planned = self._plans.get(bits)
        if planned is None:
            planned = self._plans[bits] = plan(self._architecture, self._slots, self._kept, bits)
        return planned


class _Run:
    """A sampling run's forwards of one index: their parts, and the outputs that they keep."""

    def __init__(self, parts: Parts, predictor: Weighted, slots: int) -> None:
        self.parts, self._predictor = parts, predictor
        self.opened: dict[int, Tensor] = {}
        self._kept: list[Kept] = [NOTHING] * slots
        self._now = 0.0
        self._weights: dict[tuple[float, ...], Sequence[float]] = {}  # of the present forward, by coordinates

    def forward(self, tick: Tick, now: float, planned: Plan, inputs: Inputs) -> Any:
        """Run the steps of one forward."""
        self._now, self._weights = now, {}
        stream = self.parts.embed(tick.e, tick.coordinate, inputs)
        for step in planned.steps:
            stream = step(self, stream)
        return self.parts.head(stream, inputs)

    def keep(self, slot: int, output: Tensor) -> None:
        """Keep a computed output, and drop the oldest one that no prediction needs any more."""
        coordinates, outputs = self._kept[slot]
        older = self._predictor.depth - 1
        self._kept[slot] = (self._now, *coordinates[:older]), (output, *outputs[:older])

    def terms(self, slot: int, gate: Tensor | None) -> Sequence[Term]:
        """Return the kept outputs of a slot with the predictor's weights."""
        coordinates, outputs = self._kept[slot]
        weights = self._weights.get(coordinates)
        if weights is None:
            weights = self._weights[coordinates] = self._predictor.weights(coordinates, self._now)
        return [(gate, output, weight) for output, weight in zip(outputs, weights, strict=True) if weight]

    @property
    def kept_bytes(self) -> int:
        return sum(output.nbytes for _, outputs in self._kept for output in outputs)
