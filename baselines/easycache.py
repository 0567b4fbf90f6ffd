"""EasyCache (arXiv 2507.02860): reuse how the model's output differs from its input until predicted changes add up."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from baselines.accumulated_change import AccumulatedChange
from smoothbench.caching import Evaluation, Site, find_sites
from smoothbench.caching.outputs import take_apart


@dataclass
class EasyCache(AccumulatedChange):
    """EasyCache adds the last computed difference of output and input until the changes that it predicts add up.

    A change is predicted as k ||x - x'|| / ||y||, from the noisy sample x, the one before it x' and the last computed
    output y, in mean absolute values; k is the output's change over the input's between the last two computed
    evaluations. Changes are added up; at `threshold` all is computed and the sum starts again. The first `warmup` and
    the last evaluation are computed. The rule is that of the published code for HunyuanVideo. Where guidance takes two
    forwards, the first decides for both, as in its code for Wan; where it takes two rows of one, both are looked at.
    The difference is added by the predictor AddInput. Raises ValueError for values out of range.
    """

    threshold: float = 0.05
    warmup: int = 5
    _first: int | str = field(default=0, init=False, repr=False)  # the forward that decides
    _decided: bool = field(default=True, init=False, repr=False)
    _input: Tensor | None = field(default=None, init=False, repr=False)
    _computed: tuple[Tensor, Tensor] | None = field(default=None, init=False, repr=False)
    _rate: float | None = field(default=None, init=False, repr=False)
    name = "easycache"
    version = 1

    def choose_sites(self, denoiser: nn.Module) -> tuple[Site, ...]:
        """Return the denoiser itself."""
        return find_sites(denoiser, "denoiser")

    def decide(self, evaluation: Evaluation) -> Sequence[bool]:
        """Compute where the predicted changes have reached the threshold."""
        if evaluation.starts_run:
            self._first, self._input, self._computed, self._rate = evaluation.forward_index, None, None, None
        if evaluation.forward_index == self._first:
            self._decided = self.computes(evaluation, self._change(evaluation.hidden_states))
            self._input = evaluation.hidden_states.clone()  # the caller may change it in place
        return [self._decided]

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
        assert self._input is not None
        x, y = self._input, take_apart(computed, site.name)[0][0].clone()
        if self._computed is not None:
            old_x, old_y = self._computed
            self._rate = float((y - old_y).abs().mean() / (x - old_x).abs().mean())
        self._computed = (x, y)
