"""What a metric may return and raise: a plug-in that fails costs its own score alone."""

import torch

from metrics.score import BareScore, Score
from smoothbench.errors import is_full, named


def sound(score: object) -> Score | BareScore:
    """Return what a metric returned with a plain number as its value; ValueError where that is no score."""
    if not isinstance(score, Score | BareScore):
        raise ValueError(f"its score() returned a {type(score).__name__}, not a Score or BareScore")
    if type(score.value) is float:
        return score
    value = float(score.value)  # of numpy, perhaps, which no record can hold
    if isinstance(score, Score):
        return Score(value, score.influence, score.flag, score.quantiles)
    return BareScore(value, score.count, score.flag)


def refusal(error: Exception) -> str:
    """Return in one line why a metric gave no score; raises what is not the metric's fault: no disk or memory left."""
    if is_full(error) or isinstance(error, torch.OutOfMemoryError | MemoryError):
        raise error
    return named(error)
