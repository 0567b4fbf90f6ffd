"""The rule that TeaCache and its successors share: reuse until the changes that were predicted add up."""

from dataclasses import dataclass, field
from typing import ClassVar

from torch import nn

from baselines.relative_change import check_number
from smoothbench.caching import Evaluation, Range, Site, Trajectory, find_sites
from smoothbench.caching.blocks import is_unet


@dataclass
class AccumulatedChange:
    """Adds up the changes that a method predicts, and computes an evaluation where the sum reaches the threshold.

    There the sum starts again. Computed are also the first `warmup` evaluations and the last, the one after `longest`
    reused ones (None: no limit), and all for a threshold of 0. Each forward of an evaluation has a sum of its own. By
    default what all blocks of a transformer add is reused. Raises ValueError for values out of range, and for a U-Net.
    """

    threshold: float = 0.1
    _sums: dict[int | str, tuple[float, int]] = field(default_factory=dict, init=False, repr=False)
    warmup = 1  # a field of methods that can set it, as `longest` is
    longest = None
    knob: ClassVar[str] = "threshold"

    def __post_init__(self) -> None:
        check_number(f"{type(self).__name__}'s threshold", self.threshold)
        limits = {"warmup": self.warmup} | ({} if self.longest is None else {"longest": self.longest})
        for key, value in limits.items():
            if type(value) is not int or value < 1:
                raise ValueError(
                    f"{type(self).__name__}'s {key} must be a whole number from 1, not {value!r}"
                )

    def settings(self, trajectory: Trajectory) -> Range:
        """Return the thresholds from 0, where all is computed, to a change of 1 for each evaluation."""
        return Range(0.0, float(trajectory.evals))

    def choose_sites(self, denoiser: nn.Module) -> tuple[Site, ...]:
        """Return the whole stack of blocks: a span for each run of blocks with the same streams."""
        if is_unet(denoiser):
            name, unet = type(self).__name__, type(denoiser).__name__
            raise ValueError(f"{name} needs a transformer's stack of blocks, and {unet} is a U-Net")
        return find_sites(denoiser, "span")

    def computes(self, evaluation: Evaluation, change: float | None) -> bool:
        """Add a predicted change, None where none can be predicted, and return whether to compute."""
        if evaluation.starts_run:
            self._sums.clear()
        added, reused = self._sums.get(evaluation.forward_index, (0.0, 0))
        is_last = evaluation.evals is not None and evaluation.e == evaluation.evals - 1
        added += 0.0 if change is None else change
        in_warmup = evaluation.is_forced or evaluation.e < self.warmup
        forced = in_warmup or is_last or change is None or not self.threshold
        computes = forced or reused == self.longest or not added < self.threshold
        self._sums[evaluation.forward_index] = (0.0, 0) if computes else (added, reused + 1)
        return computes
