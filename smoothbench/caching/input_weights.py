"""Predict by calibrated weights of the kept outputs and of what the site got, at present and at those."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, ClassVar

from torch import Tensor

from smoothbench.caching.checked_step import CheckedStep, StepChecks
from smoothbench.caching.predictor import History, Predictor
from smoothbench.caching.sites import Site
from smoothbench.caching.weighted_sum import Rows, SiteWeights, WeightedSum


@dataclass(frozen=True)
class InputWeights(WeightedSum):
    """Adds up the kept outputs and inputs of a site with weights from tables.

    `table[site][e]` holds the weights of the kept outputs at evaluation e, as in a `WeightedSum`; `inputs[site][e]`
    those of the present input and of the kept ones, the newest first, as many as it has. Channels that the input does
    not have, as those of a predicted variance, are predicted from the outputs alone. `steps` are states that follow
    from what is kept, which show a run with another solver or another guidance. Raises ValueError for tables of
    different sites or lengths.
    """

    inputs: Mapping[str, Rows] = field(default_factory=dict)
    steps: tuple[CheckedStep, ...] = ()
    name = "input_weights"
    version = 1
    digested: ClassVar[tuple[str, ...]] = ("table", "timesteps", "inputs", "steps")

    def __post_init__(self) -> None:
        super().__post_init__()
        lengths = {site: len(rows) for site, rows in self.inputs.items()}
        if lengths != {site: len(rows) for site, rows in self.table.items()}:
            raise ValueError(
                "weights of inputs are for the sites and evaluations that those of outputs are for"
            )
        if not all(isfinite(w) for rows in self.inputs.values() for row in rows for w in row):
            raise ValueError("weights must be finite")

    @property
    def digest(self) -> str:
        """The sha256 of both tables and of the first step, of one forward: results of before have this digest."""
        beside = {"inputs": self.to_json()["inputs"]}
        if self.steps and self.steps[0].forwards == 1:
            beside["step"] = self.steps[0].to_json()
        text = super().digest + json.dumps(beside, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return the weights as JSON: beside those of outputs `inputs`, and the `steps` that are checked."""
        inputs = {site: [list(map(float, row)) for row in rows] for site, rows in self.inputs.items()}
        steps = {"steps": [step.to_json() for step in self.steps]} if self.steps else {}
        return {**super().to_json(), "inputs": inputs, **steps}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "InputWeights":
        """Read what `to_json` gives, or gave when there was one `step`; ValueError where it is something else."""
        of_outputs = WeightedSum.from_json(data)
        of_inputs = WeightedSum.from_json({"table": data.get("inputs")})
        steps = data.get("steps", [data["step"]] if data.get("step") is not None else [])
        if not isinstance(steps, list):
            raise ValueError("the steps of its weights must be a list")
        checked = tuple(map(CheckedStep.from_json, steps))
        return cls(of_outputs.table, of_outputs.timesteps, inputs=of_inputs.table, steps=checked)

    def bind(self, sites: Sequence[Site], evals: int | None) -> Sequence[Predictor]:
        """Return the predictor of each site; ValueError where the tables are for other sites or evaluations."""
        super().bind(sites, evals)
        names = [site.name if site.name in self.table else "*" for site in sites]
        return [self._of(name) for name in names]

    def predict(self, history: History, inputs: History, now: float, given: Tensor) -> Tensor:
        """Predict the output of a site that is not bound, the only one."""
        (site,) = self.table
        return self._of(site).predict(history, inputs, now, given)

    def _of(self, name: str) -> "OfInputs":
        checks = StepChecks(self.steps) if self.steps else None
        return OfInputs(self.table[name], inputs=self.inputs[name], checks=checks)


@dataclass(frozen=True)
class OfInputs(SiteWeights):
    """The weighted sum of outputs and inputs of one site."""

    inputs: Rows = ()
    checks: StepChecks | None = None

    def predict(self, history: History, inputs: History, now: float, given: Tensor) -> Tensor:
        """Predict an output from the kept ones, the inputs at these, and the present input `given`.

        The last output is repeated where none is to be predicted, or fewer are kept than there are weights. Raises
        ValueError where the run has another solver or guidance than the one that was fitted.
        """
        if self.checks is not None:
            self.checks.check(now, history, inputs, given)
        row = self.rows[round(now)]
        if not row or len(row) > len(history):
            return history[0][1]
        values = [given, *(value for _, value in inputs)]
        return combined(row, [value for _, value in history], self.inputs[round(now)], values)

    def check(self) -> None:
        """Raise ValueError where the run had another solver or guidance, of what was not read yet."""
        if self.checks is not None:
            self.checks.read()


def combined(
    weights: Sequence[float], outputs: Sequence[Tensor], of_inputs: Sequence[float], inputs: Sequence[Tensor]
) -> Tensor:
    """Add up outputs and inputs with their weights, in float32; the result has the outputs' shape and dtype.

    Where the shapes differ, what only one of them has is not added.
    """
    newest = outputs[0]
    total = newest.float() * weights[0]
    for weight, output in zip(weights[1:], outputs[1:], strict=False):
        total.add_(output, alpha=weight)
    common = total
    if total.shape != inputs[0].shape:
        shape = tuple(slice(min(a, b)) for a, b in zip(total.shape, inputs[0].shape, strict=True))
        common, inputs = total[shape], [value[shape] for value in inputs[: len(of_inputs)]]
    for weight, value in zip(of_inputs, inputs, strict=False):
        common.add_(value, alpha=weight)
    return total.to(newest.dtype)
