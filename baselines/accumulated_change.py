"""The rule that TeaCache and its successors share: reuse until the changes that were predicted add up."""

from collections.abc import Sequence
from math import isfinite

from torch import Tensor

from smoothbench.caching import Evaluation


class AccumulatedChange:
    """Adds up the changes that a method predicts, and says when an evaluation must be computed.

    It is where the sum reaches the threshold, which then starts again from 0; always at the first `warmup` and at the
    last evaluation, after `longest` reused ones (None: no limit), and for a threshold of 0. Each forward of an
    evaluation has a sum of its own. Raises ValueError for values out of range.
    """

    def __init__(self, method: str, threshold: float, warmup: int = 1, longest: int | None = None) -> None:
        check_number(f"{method}'s threshold", threshold)
        if type(warmup) is not int or warmup < 1:
            raise ValueError(f"{method}'s warmup must be a whole number from 1, not {warmup!r}")
        if longest is not None and (type(longest) is not int or longest < 1):
            raise ValueError(f"{method}'s longest must be a whole number from 1, or null, not {longest!r}")
        self._threshold, self._warmup, self._longest = threshold, warmup, longest
        self._sums: dict[
            int | str, tuple[float, int]
        ] = {}  # by forward: the sum, and how many were reused in a row

    def computes(self, evaluation: Evaluation, change: float | None) -> bool:
        """Add a predicted change, None where none can be predicted, and return whether to compute."""
        if evaluation.starts_run:
            self._sums.clear()
        added, reused = self._sums.get(evaluation.forward_index, (0.0, 0))
        is_last = evaluation.evals is not None and evaluation.e == evaluation.evals - 1
        added += 0.0 if change is None else change
        forced = evaluation.e < self._warmup or is_last or change is None or not self._threshold
        computes = forced or reused == self._longest or not added < self._threshold
        self._sums[evaluation.forward_index] = (0.0, 0) if computes else (added, reused + 1)
        return computes


def relative_change(new: Sequence[Tensor], old: Sequence[Tensor]) -> float:
    """Return the relative L1 change of tensors: the sum of absolute differences over that of the old values."""
    changed = sum((a.float() - b.float()).abs().sum() for a, b in zip(new, old, strict=True))
    return float(changed / sum(tensor.float().abs().sum() for tensor in old))


def check_number(name: str, value: float) -> None:
    """Raise ValueError, naming the parameter, for anything but a finite number from 0."""
    if type(value) not in (int, float) or not isfinite(value) or value < 0:
        raise ValueError(f"{name} must be a finite number from 0, not {value!r}")
