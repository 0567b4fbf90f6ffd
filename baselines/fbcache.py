"""FBCache (First Block Cache of ParaAttention and diffusers): compute the first block, reuse the others."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor, nn

from baselines.checks import check_number, refuse_unet
from baselines.relative_change import relative_change
from smoothbench.caching import Evaluation, Probe, Range, Settings, Site, Trajectory, split_spans


@dataclass
class FBCache:
    """FBCache reuses what all blocks but the first add, while the first block adds nearly what it did before.

    With r what the first block adds to the main stream, and r' the same at the last computed evaluation, the others
    are computed where mean |r - r'| / mean |r'| exceeds `threshold`; at 0 always. There is no paper: the rule is that
    of the code of diffusers (hooks/first_block_cache.py). It is decided for the whole batch, and for each forward of
    guidance by itself. Raises ValueError for a threshold below 0.
    """

    threshold: float
    residuals: dict[int | str, Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)
    name = "fbcache"
    version = 1
    knob: ClassVar[str] = "threshold"

    def __post_init__(self) -> None:
        check_number(f"{type(self).__name__}'s threshold", self.threshold)

    def settings(self, trajectory: Trajectory) -> Settings:
        """Return thresholds from that at which everything is computed to one that no change exceeds."""
        return Range(0.0, 100.0)

    def choose_sites(self, denoiser: nn.Module) -> tuple[Site, ...]:
        """Return the blocks that are always computed, and the rest; ValueError for too few blocks, and for a U-Net."""
        refuse_unet(type(self).__name__, denoiser)
        return split_spans(denoiser, *self.always_computed())

    def always_computed(self) -> tuple[int, int]:
        """Return how many first and how many last blocks are always computed."""
        return 1, 0

    def choose_probes(self, denoiser: nn.Module) -> Sequence[Probe]:
        """Look at what the first block adds."""
        return [Probe(self.choose_sites(denoiser)[0].name)]

    def decide(self, evaluation: Evaluation) -> Sequence[bool]:
        """Compute at least up to the probe."""
        if evaluation.starts_run:
            self.residuals.clear()
        return [True] * len(evaluation.sites)

    def decide_after(self, probe: Probe, evaluation: Evaluation, value: Any) -> Sequence[bool]:
        """Compute the rest where the first block's change is large."""
        new, old = value[0], self.residuals.get(evaluation.forward_index)
        computes = evaluation.is_forced or old is None or not self.reuses(evaluation, new, old)
        if computes:
            self.residuals[evaluation.forward_index] = new
        return [True, *[computes] * (len(evaluation.sites) - 1)]

    def reuses(self, evaluation: Evaluation, new: Tensor, old: Tensor) -> bool:
        """Return whether the change from `old` to `new` is within the threshold."""
        return self.threshold > 0 and relative_change([new], [old]) <= self.threshold
