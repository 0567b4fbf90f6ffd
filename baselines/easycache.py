"""EasyCache (arXiv 2507.02860): reuse how the model's output differs from its input until predicted changes add up."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from baselines.accumulated_change import AccumulatedChange
from smoothbench.caching import Evaluation, Range, Site, Trajectory, find_sites
from smoothbench.caching.outputs import take_apart
from smoothbench.caching.predictor import History


@dataclass
class EasyCache:
    """EasyCache adds the last computed difference of output and input until the changes that it predicts add up.

    A change is predicted as k ||x_t - x_{t-1}|| / ||y||, from the noisy sample x at this evaluation and the one
    before and the last computed output y, in mean absolute values; k is the output's change over the input's between
    the last two computed evaluations. Changes are added up, and at `threshold` all is computed and the sum starts
    again; the first `warmup` and the last evaluation are computed. The rule is the published code's (HunyuanVideo,
    Wan 2.1), which stands between the indices of the paper's section 3.3. Where guidance takes two forwards, the
    first decides for both, as there; where it takes two rows of one, both are looked at. Raises ValueError for values out of range.
    """

    threshold: float = 0.05
    warmup: int = 5
    _sum: AccumulatedChange = field(init=False, repr=False, compare=False)
    _first: int | str = field(default=0, init=False, repr=False, compare=False)  # the forward that decides
    _computes: bool = field(default=True, init=False, repr=False, compare=False)
    _input: Tensor | None = field(default=None, init=False, repr=False, compare=False)
    _computed: tuple[Tensor, Tensor] | None = field(default=None, init=False, repr=False, compare=False)
    _rate: float | None = field(default=None, init=False, repr=False, compare=False)
    name = "easycache"
    version = 1
    knob: ClassVar[str] = "threshold"

    def __post_init__(self) -> None:
        self._sum = AccumulatedChange("EasyCache", self.threshold, self.warmup)

    def settings(self, trajectory: Trajectory) -> Range:
        """Return the thresholds from 0, where all is computed, to a change of 1 for each evaluation."""
        return Range(0.0, float(trajectory.evals))

    def choose_sites(self, denoiser: nn.Module) -> tuple[Site, ...]:
        """Return the denoiser itself."""
        return find_sites(denoiser, "denoiser")

    def decide(self, evaluation: Evaluation) -> Sequence[bool]:
        """Compute where the predicted changes have reached the threshold."""
        if evaluation.starts_run:
            self._first, self._input, self._computed, self._rate = evaluation.forward_index, None, None, None
        if evaluation.forward_index == self._first:
            self._computes = self._sum.computes(evaluation, self._change(evaluation.hidden_states))
            self._input = evaluation.hidden_states
        return [self._computes]

    def _change(self, x: Tensor) -> float | None:
        if self._input is None or self._computed is None or self._rate is None:
            return None
        return self._rate * float((x - self._input).abs().mean() / self._computed[1].abs().mean())

    def observe(
        self, site: Site, evaluation: Evaluation, predicted: Callable[[], Any], computed: Any
    ) -> None:
        """See the output, and by how much more it changed than the input since the last one."""
        if evaluation.forward_index != self._first:
            return
        x, y = evaluation.hidden_states, take_apart(computed, site.name)[0][0].clone()
        if self._computed is not None:
            old_x, old_y = self._computed
            self._rate = float((y - old_y).abs().mean() / (x - old_x).abs().mean())
        self._computed = (x, y)


@dataclass(frozen=True)
class AddInput:
    """Predict the output as the present input plus the last computed difference of output and input.

    Channels that the input does not have, as those of a predicted variance, are reused as they are.
    """

    depth: int = 1
    coordinate: str = "index"
    name = "add_input"
    version = 1

    def predict(self, history: History, inputs: History, now: float, given: Tensor) -> Tensor:
        """Predict an output [B, C, ...] from the last one, and the input then and now."""
        output, moved = history[0][1], given - inputs[0][1]
        channels = min(output.shape[1], moved.shape[1])
        return torch.cat([output[:, :channels] + moved[:, :channels], output[:, channels:]], 1)
