"""DBCache (cache-dit): compute the first and the last blocks, reuse those between while the first change little."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from baselines.checks import check_whole
from baselines.fbcache import FBCache
from baselines.relative_change import relative_change
from smoothbench.caching import Evaluation, Probe, Range, Settings, Trajectory


@dataclass
class DBCache(FBCache):
    """DBCache is FBCache with more blocks that are always computed, a warm-up and limits.

    The rule is that of the code of cache-dit 1.5.3, for there is no paper: the blocks between the `first_blocks` first
    and the `last_blocks` last are reused where the first ones' change (see FBCache) is below `threshold`, at 1 always;
    not at every `warmup_interval`-th of the `warmup_steps` first evaluations, nor after `max_consecutive_steps` reused
    ones in a row, or `max_cached_steps` in all (None: no limit); cache-dit's count of those in a row goes on where a
    change above the threshold breaks them off. cache-dit's defaults are 8, 0 and 8 (first and last blocks, warm-up),
    for models of some 50 blocks; its limit on the summed change and its step masks are left out. In a few models it
    decides for two lists of blocks apart, here one decision holds for all. Raises ValueError for a number of blocks or
    steps out of range.
    """

    first_blocks: int = 1
    last_blocks: int = 0
    warmup_steps: int = 4
    warmup_interval: int = 1
    max_cached_steps: int | None = None
    max_consecutive_steps: int | None = None
    computed: dict[int | str, list[int]] = field(default_factory=dict, init=False, repr=False, compare=False)
    name = "dbcache"
    version = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        required = {"first_blocks": 1, "last_blocks": 0, "warmup_steps": 0, "warmup_interval": 1}
        limits = {"max_cached_steps": 0, "max_consecutive_steps": 0}
        for key, least in {**required, **limits}.items():
            value = getattr(self, key)
            if value is not None or key in required:
                check_whole(f"DBCache's {key}", value, least)

    def settings(self, trajectory: Trajectory) -> Settings:
        """Return thresholds from that at which everything is computed to that at which nothing need be."""
        return Range(0.0, 1.0)

    def always_computed(self) -> tuple[int, int]:
        """Return how many first and how many last blocks are always computed."""
        return self.first_blocks, self.last_blocks

    def decide(self, evaluation: Evaluation) -> Sequence[bool]:
        """Compute at least up to the probe."""
        if evaluation.starts_run:
            self.computed.clear()
        return super().decide(evaluation)

    def decide_after(self, probe: Probe, evaluation: Evaluation, value: Any) -> Sequence[bool]:
        """Compute the blocks between where the first ones' change is large, or a limit is reached."""
        bits = super().decide_after(probe, evaluation, value)
        if all(bits):
            self.computed.setdefault(evaluation.forward_index, []).append(evaluation.e)
        return [*bits[:-1], True] if self.last_blocks else bits

    def reuses(self, evaluation: Evaluation, new: Tensor, old: Tensor) -> bool:
        """Return whether the change is below the threshold, and no limit is reached."""
        e, computed = evaluation.e, self.computed[evaluation.forward_index]
        limits = (self.max_cached_steps, self.max_consecutive_steps)
        reused = (e - len(computed), e - 1 - computed[-1])
        if any(limit is not None and n >= limit for limit, n in zip(limits, reused, strict=True)):
            return False
        if e in range(0, self.warmup_steps, self.warmup_interval) or self.threshold <= 0:
            return False
        return self.threshold >= 1 or relative_change([new], [old]) < self.threshold
