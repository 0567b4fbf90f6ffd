"""A step of the solver as weights remember it: a run that takes another step there is noticed."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from smoothbench.caching.json_objects import is_number
from smoothbench.caching.predictor import History

TOLERANCE = 1e-4  # of the state's norm, in float32
ROUNDING = 4  # units of the last place that a state of lower precision may be off by


class CheckedStep(NamedTuple):
    """The step of the solver to evaluation `e`: weights of the states and guided outputs before it, the newest first.

    `guidance` are the weights of an output's rows in the guided output.
    """

    e: int
    states: tuple[float, ...]
    outputs: tuple[float, ...]
    guidance: tuple[float, ...]

    @classmethod
    def from_json(cls, data: Any) -> "CheckedStep":
        """Read a step from JSON; ValueError where it is something else."""
        if not isinstance(data, Mapping) or set(data) != set(cls._fields) or type(data["e"]) is not int:
            raise ValueError(f"the step of its weights must have {', '.join(cls._fields)}")
        lists = [data["states"], data["outputs"], data["guidance"]]
        if not all(isinstance(of, list) and of and all(map(is_number, of)) for of in lists):
            raise ValueError("the step of its weights must hold lists of finite numbers")
        return cls(data["e"], *map(tuple, lists))

    def check(self, history: History, inputs: History, state: Tensor) -> None:
        """Raise ValueError where the state at `e` is not what this step makes of what is kept.

        A run whose guidance rows are no rows of one forward is not checked. Args: history and inputs, kept outputs and
        states, the newest first; state, the present one, [rows, ...].
        """
        order, rows = max(len(self.states), len(self.outputs)), len(self.guidance)
        if min(len(history), len(inputs)) < order or len(state) % rows:
            return
        limits = zip(state.shape, history[0][1].shape, strict=True)
        common = tuple(slice(min(sizes)) for sizes in limits)
        now = state[common].float()
        expected = torch.zeros_like(now)
        for weight, (_, past) in zip(self.states, inputs, strict=False):
            expected += weight * past[common]
        for weight, (_, output) in zip(self.outputs, history, strict=False):
            expected += weight * self._guided(output[common].float())
        allowed = max(TOLERANCE, ROUNDING * torch.finfo(state.dtype).eps)
        distance = float((now - expected).norm() / expected.norm())
        if not distance <= allowed:
            raise ValueError(
                f"at evaluation {self.e} the state lies {distance:.2g} of its norm from where the solver and the "
                f"guidance (weights {', '.join(f'{w:.4g}' for w in self.guidance)} of the rows) lead that the weights "
                "were fitted to: fit them to runs like this one, or take dataclasses.replace(weights, step=None)"
            )

    def _guided(self, output: Tensor) -> Tensor:
        """The guided output, repeated for each row."""
        rows = output.unflatten(0, (len(self.guidance), -1))
        guided = sum(weight * row for weight, row in zip(self.guidance, rows, strict=True))
        assert isinstance(guided, Tensor)
        return guided.repeat(len(self.guidance), *[1] * (guided.ndim - 1))
