"""States of a run as weights remember them: a run that comes to another state there is noticed."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from smoothbench.caching.json_objects import is_number
from smoothbench.caching.predictor import History

TOLERANCE = 1e-4  # of the state's norm, in float32
ROUNDING = 4  # units of the last place that a state of lower precision may be off by
REQUIRED = ("e", "states", "outputs", "guidance")


class CheckedStep(NamedTuple):
    """The state at evaluation `e`: weights of the states and guided outputs at computed evaluations, the newest first.

    `guidance` are the weights of an output's rows in the guided one, in the order of the `forwards` of an evaluation.
    """

    e: int
    states: tuple[float, ...]
    outputs: tuple[float, ...]
    guidance: tuple[float, ...]
    forwards: int = 1

    def to_json(self) -> dict[str, Any]:
        """Return the step as JSON; one forward is not mentioned."""
        data = {
            key: list(value) if isinstance(value, tuple) else value for key, value in self._asdict().items()
        }
        return data if self.forwards > 1 else {key: data[key] for key in REQUIRED}

    @classmethod
    def from_json(cls, data: Any) -> "CheckedStep":
        """Read a step from JSON; ValueError where it is something else."""
        if (
            not isinstance(data, Mapping)
            or {*data, "forwards"} != set(cls._fields)
            or type(data["e"]) is not int
        ):
            raise ValueError(f"a step of its weights must have {', '.join(REQUIRED)}")
        lists, forwards = [data["states"], data["outputs"], data["guidance"]], data.get("forwards", 1)
        if not all(isinstance(of, list) and of and all(map(is_number, of)) for of in lists):
            raise ValueError("a step of its weights must hold lists of finite numbers")
        if type(forwards) is not int or forwards < 1 or len(data["guidance"]) % forwards:
            raise ValueError("a step of its weights must have as many rows in each of its forwards")
        states, outputs, guidance = map(tuple, lists)
        return cls(data["e"], states, outputs, guidance, forwards)

    @property
    def rows(self) -> int:
        """The rows of a forward that belong to one sample."""
        return len(self.guidance) // self.forwards

    @property
    def order(self) -> int:
        """The number of computed evaluations that it looks back at."""
        return max(len(self.states), len(self.outputs))


class _Comparison(NamedTuple):
    """How far a state lies from where its step leads, and its norm, each []; `allowed` is a share of the norm."""

    step: CheckedStep
    distance: Tensor
    norm: Tensor
    allowed: float

    def refuse_other(self) -> None:
        """Raise ValueError where the state is another one; this waits for a device."""
        distance, norm = float(self.distance), float(self.norm)
        if not distance <= self.allowed * norm:
            share = distance / norm if norm else distance
            raise ValueError(
                f"at evaluation {self.step.e} the state lies {share:.2g} of its norm from where the solver and the "
                f"guidance (weights {', '.join(f'{w:.4g}' for w in self.step.guidance)} of the rows) lead that the "
                "weights were fitted to: fit them to runs like this one, or take dataclasses.replace(weights, steps=())"
            )


class StepChecks:
    """Compares the states of a run with those that its steps lead to; a forward after the other adds its outputs.

    What it finds on a device is read when the run is over: reading it at once would wait for the device.
    """

    def __init__(self, steps: Sequence[CheckedStep]) -> None:
        self._steps = {step.e: step for step in steps}
        self._unread: list[_Comparison] = []  # of states on a device
        self._forwards = 0  # of the evaluation under way, that were seen
        self._left: Tensor | None = None  # of its state, without what these contribute

    def check(self, now: float, history: History, inputs: History, state: Tensor) -> None:
        """Raise ValueError where the state is not what solver, guidance and weights make of what is kept.

        Of a state on a device `read` raises it. A run of which less is kept, or with other rows, is not checked.
        Args: now, the evaluation; history and inputs, kept outputs and states of this forward, the newest first; state,
        the present one, [rows, ...].
        """
        step = self._steps.get(round(now))
        if step is None or min(len(history), len(inputs)) < step.order or len(state) % step.rows:
            self._forwards, self._left = 0, None
            return
        common = _common(state, history[0][1])
        given = _by_row(state, step.rows, common)
        left = self._left
        if left is None:
            left = given
            for weight, (_, past) in zip(step.states, inputs, strict=False):
                left = left.sub(_by_row(past, step.rows, common), alpha=weight)
        guidance = step.guidance[self._forwards * step.rows :][: step.rows]
        for weight, (_, output) in zip(step.outputs, history, strict=False):
            rows = _by_row(output, step.rows, common).unbind(0)
            for of_row, row in zip(guidance, rows, strict=True):
                left = left.sub(row, alpha=weight * of_row)  # from every row's state
        self._forwards, self._left = self._forwards + 1, left
        if self._forwards == step.forwards:
            self._forwards, self._left = 0, None
            allowed = max(TOLERANCE, ROUNDING * torch.finfo(state.dtype).eps)
            distance, norm = torch.linalg.vector_norm(left), torch.linalg.vector_norm(given)
            compared = _Comparison(step, distance, norm, allowed)
            if state.device.type == "cpu":
                compared.refuse_other()
            else:
                self._unread.append(compared)

    def read(self) -> None:
        """Raise ValueError where a state was another one, of those that were not read yet."""
        unread, self._unread = self._unread, []
        for compared in unread:
            if not compared.norm.is_meta:  # which has no values
                compared.refuse_other()


def _by_row(value: Tensor, rows: int, common: tuple[slice, ...] | None) -> Tensor:
    """A tensor [rows * samples, ...] as float32 [rows, numbers], cut to what states and outputs both have."""
    flat = (value if common is None else value[common]).reshape(rows, -1)
    return flat if flat.dtype == torch.float32 else flat.float()


def _common(state: Tensor, output: Tensor) -> tuple[slice, ...] | None:
    """What a state and an output both have of each axis; None where that is all."""
    if state.shape == output.shape:
        return None
    return tuple(slice(min(sizes)) for sizes in zip(state.shape, output.shape, strict=True))
