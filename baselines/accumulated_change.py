"""The rule that TeaCache and its successors share: reuse until the changes that were predicted add up."""

from dataclasses import dataclass, field
from typing import ClassVar

from baselines.checks import check_number, check_whole, known_evals
from baselines.whole_stack import WholeStack
from smoothbench.caching import Evaluation, Range, Trajectory


@dataclass
class AccumulatedChange(WholeStack):
    """Adds up the changes that a method predicts, and computes an evaluation where the sum reaches the threshold.

    There the sum starts again. Computed are also the first `warmup` evaluations and the last, the one after `longest`
    reused ones (None: no limit), and all for a threshold of 0. Each forward of an evaluation has a sum of its own. By
    default what all blocks of a transformer add is reused. Raises ValueError for values out of range, for a U-Net, and
    in a run whose number of evaluations nobody knows.
    """

    threshold: float = 0.1
    _sums: dict[int | str, tuple[float, int]] = field(default_factory=dict, init=False, repr=False)
    warmup = 1  # a field of methods that can set it, as `longest` is
    longest = None
    knob: ClassVar[str] = "threshold"

    def __post_init__(self) -> None:
        check_number(f"{type(self).__name__}'s threshold", self.threshold)
        check_whole(f"{type(self).__name__}'s warmup", self.warmup)
        if self.longest is not None:
            check_whole(f"{type(self).__name__}'s longest", self.longest)

    def settings(self, trajectory: Trajectory) -> Range:
        """Return the thresholds from 0, where all is computed, to a change of 1 for each evaluation."""
        return Range(0.0, float(trajectory.evals))

    def computes(self, evaluation: Evaluation, change: float | None) -> bool:
        """Add a predicted change, None where none can be predicted, and return whether to compute."""
        if evaluation.starts_run:
            self._sums.clear()
        added, reused = self._sums.get(evaluation.forward_index, (0.0, 0))
        is_last = evaluation.e == known_evals(type(self).__name__, evaluation) - 1
        added += 0.0 if change is None else change
        in_warmup = evaluation.is_forced or evaluation.e < self.warmup
        forced = in_warmup or is_last or change is None or not self.threshold
        computes = forced or reused == self.longest or not added < self.threshold
        self._sums[evaluation.forward_index] = (0.0, 0) if computes else (added, reused + 1)
        return computes
