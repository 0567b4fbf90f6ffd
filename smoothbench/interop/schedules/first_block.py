"""The threshold with which diffusers' FirstBlockCache computes what a schedule computes, on a run of one's own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from smoothbench.caching import Evaluation, Probe, Schedule, Site, cached, split_spans

Change = tuple[float, int]  # of what the first block adds, and the evaluation


def first_block_threshold(
    denoiser: nn.Module, run: Callable[[], object], schedule: Schedule, calls_per_eval: int = 1
) -> float:
    """Return a threshold for `diffusers.FirstBlockCacheConfig` that computes the evaluations of a schedule.

    `run` samples on the denoiser, once, and follows the schedule. FirstBlockCache computes an evaluation where what the
    first block adds has changed by more than the threshold since the last computed one, and reuses what the other
    blocks add. It decides by the numbers of each run: on other samples it may compute others. Raises ValueError, with
    both evaluations, where no threshold separates them, and where the schedule computes an evaluation in part.
    """
    if any(len(set(bits)) > 1 for bits in schedule.computed):
        raise ValueError("FirstBlockCache computes all blocks but the first at once: the schedule does not")
    following = _Following([bits[0] for bits in schedule.computed])
    with cached(denoiser, following, evals=schedule.evals, calls_per_eval=calls_per_eval):
        run()
    reused, above = max(following.reused, default=(0.0, 0)), min(following.computed, default=None)
    if above is None:
        return 2 * reused[0] + 1
    if reused[0] >= above[0]:
        raise ValueError(
            f"no threshold of FirstBlockCache computes evaluation {above[1]}, where the first block changes by "
            f"{above[0]:.3g}, and not {reused[1]}, where it changes by {reused[0]:.3g}"
        )
    return (reused[0] + above[0]) / 2


@dataclass
class _Following:
    """Follows a mask of evaluations, and measures by how much what the first block adds has changed."""

    mask: Sequence[bool]
    residuals: dict[int | str, Tensor] = field(default_factory=dict)
    reused: list[Change] = field(default_factory=list)
    computed: list[Change] = field(default_factory=list)

    def choose_sites(self, denoiser: nn.Module) -> tuple[Site, ...]:
        return split_spans(denoiser, 1, 0)

    def choose_probes(self, denoiser: nn.Module) -> Sequence[Probe]:
        return [Probe(self.choose_sites(denoiser)[0].name)]

    def decide(self, evaluation: Evaluation) -> Sequence[bool]:
        return [True] * len(evaluation.sites)

    def decide_after(self, probe: Probe, evaluation: Evaluation, value: Any) -> Sequence[bool]:
        new, old = value[0], self.residuals.get(evaluation.forward_index)
        computes = self.mask[evaluation.e]
        if old is not None:
            change = float((new - old).abs().mean() / old.abs().mean())
            (self.computed if computes else self.reused).append((change, evaluation.e))
        if computes:
            self.residuals[evaluation.forward_index] = new
        return [True, *[computes] * (len(evaluation.sites) - 1)]
