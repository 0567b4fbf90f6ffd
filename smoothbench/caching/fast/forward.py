"""The fast forward: a denoiser's own arithmetic around its branches, planned once for each set of computed sites."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from smoothbench.caching.evaluation_clock import Tick
from smoothbench.caching.fast.fast_run import FastRun
from smoothbench.caching.fast.gaps import find_gaps
from smoothbench.caching.fast.parts import Architecture, Inputs, Parts, Use
from smoothbench.caching.fast.planner import Plan, Planner
from smoothbench.caching.fast.slots import Bits, Slot
from smoothbench.caching.fast.unchanged import needs_gradients
from smoothbench.caching.predictor import Weighted


class FastForward:
    """Runs the forwards of a denoiser from its parts: equal to the engine's other way within rounding.

    `predictors` are those of the sites, and `coordinates` the timesteps of the run; a slot is kept where `may_skip`
    says that a site of it is ever reused. `rows` are the bits of a static schedule, None for the evaluations that
    reuse the denoiser's whole output, which do not come here.
    """

    def __init__(
        self,
        architecture: Architecture,
        slots: Sequence[Slot],
        predictors: Sequence[Weighted],
        coordinates: Sequence[float],
        may_skip: Sequence[bool],
        rows: Sequence[Bits | None] = (),
    ) -> None:
        self._architecture, self._coordinates, self._rows = architecture, coordinates, rows
        self._predictors = [predictors[slot.sites[0]] for slot in slots]
        self._plan = Planner(architecture, slots, [any(may_skip[i] for i in slot.sites) for slot in slots])
        self._gaps = find_gaps(architecture, slots, self._predictors, rows, coordinates) if rows else None
        self._plans: dict[tuple[bool, ...], Plan] = {}
        self._runs: dict[int | str, FastRun] = {}
        self._doubts: list[Tensor | None] = []
        self._answers: dict[
            int | str, bool
        ] = {}  # by forward of an evaluation: whether it runs from its parts

    def inputs(self, tick: Tick, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Inputs | None:
        """Return the inputs of a forward by name; None where the parts cannot answer in this run.

        That is found out where a run starts. Raises ValueError where a later forward of the run has arguments that
        the first one had not, or needs gradients.
        """
        index = tick.forward_index
        first = tick.starts_run or index not in self._answers
        if first:
            self._answers[index] = self._can_run(args, kwargs)
        if not self._answers[index]:
            return None
        if not first and needs_gradients(self._architecture.denoiser, (args, kwargs)):
            raise self._gradients(tick)
        inputs = self._architecture.inputs(args, kwargs)
        run = self._runs.get(index)
        same = inputs is not None and run is not None and inputs.keys() == run.names
        if inputs is not None and (same or self._architecture.takes(inputs)):
            return inputs
        if not first:
            raise self._other_arguments(tick)
        self._answers[index] = False
        return None

    def __call__(self, tick: Tick, now: float, bits: Bits, inputs: Inputs) -> tuple[Any, Sequence[int]]:
        """Run one forward at coordinate `now`; return its output and the numbers of the sites that it computed."""
        planned, run = self._planned(tuple(bits)), self.run_of(tick, inputs)
        output = run.forward(tick, now, planned, inputs)
        computed, again = planned.computed, run.again
        if again:
            computed, run.again = (*computed, *self._planned(tuple(self._rows[0] or ())).computed * again), 0
        return output, computed

    def run_of(self, tick: Tick, inputs: Inputs) -> FastRun:
        """Return the run under way, whose parts are for these inputs."""
        run = self._runs.get(tick.forward_index)
        if run is None:
            run = self._runs[tick.forward_index] = self._new_run(inputs)
        elif not run.parts.holds(inputs):
            if not self._architecture.takes(inputs):
                raise self._other_arguments(tick)
            run.go_on_with(self._parts(inputs), tick.e)
        return run

    @property
    def is_running(self) -> bool:
        """Whether a run is under way that it answers for."""
        return bool(self._runs)

    def forget(self) -> int:
        """Drop everything of the run under way, and return how many bytes the kept outputs were."""
        size = sum(run.kept_bytes for run in self._runs.values())
        self._doubts += [run.parts.mistaken() for run in self._runs.values()]
        self._runs, self._answers = {}, {}
        return size

    def check(self) -> None:
        """Raise ValueError where a run that is over got other timesteps than it was told, which it could not read."""
        doubts, self._doubts = self._doubts, []
        if any(
            bool(doubt) for doubt in doubts if doubt is not None and not doubt.is_meta
        ):  # which has no values
            raise ValueError(
                f"the {type(self._architecture.denoiser).__name__} got other timesteps than run.step(e, coordinate) "
                "announced: announce the timesteps themselves, or pass fast=False to cached(...)"
            )

    def _can_run(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
        architecture = self._architecture
        return architecture.is_unchanged() and not needs_gradients(architecture.denoiser, (args, kwargs))

    def _gradients(self, tick: Tick) -> ValueError:
        return ValueError(
            f"evaluation {tick.e} needs gradients of the {type(self._architecture.denoiser).__name__}, but the run "
            "began without them: pass fast=False to cached(...)"
        )

    def _other_arguments(self, tick: Tick) -> ValueError:
        return ValueError(
            f"evaluation {tick.e} gives the {type(self._architecture.denoiser).__name__} other kinds of arguments "
            "than the first one of the run: pass fast=False to cached(...)"
        )

    def _new_run(self, inputs: Inputs) -> FastRun:
        full = None if self._gaps is None else self._planned(tuple(self._rows[0] or ()))
        return FastRun(self._parts(inputs), self._predictors, inputs, self._gaps, full)

    def _parts(self, inputs: Inputs) -> Parts:
        parts = self._architecture.begin(inputs, self._coordinates)
        parts.uses = [Use.NOTHING if bits is None else self._planned(tuple(bits)).use for bits in self._rows]
        return parts

    def _planned(self, bits: tuple[bool, ...]) -> Plan:
        planned = self._plans.get(bits)
        if planned is None:
            planned = self._plans[bits] = self._plan(bits)
        return planned
