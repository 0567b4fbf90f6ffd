"""AdaCache (arXiv 2411.02397): look up in a codebook for how long the stack of blocks is reused."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor, nn

from baselines.checks import check_number, known_evals, refuse_unet
from baselines.relative_change import relative_change
from smoothbench.caching import Evaluation, Range, Site, Trajectory, find_sites


@dataclass
class _Forward:
    """The last computed evaluation, how far it is from the one before and from the next, and what the block added."""

    computed: int = -1
    distance: int = 1
    rate: int = 1
    added: Sequence[Tensor] = ()


@dataclass
class AdaCache:
    """AdaCache reuses what all blocks add for as many evaluations as a codebook gives for the change of one block.

    After a computed evaluation the relative L1 change of what the block adds, divided by the distance to the computed
    one before, is looked up: the first of the `thresholds`, times `scale`, that lies above it gives the rate, which is
    the number of evaluations to the next computed one; the last of the `rates` is that of all larger changes. The
    first evaluation and the last two are computed. The rule, without motion regularisation, and the default codebook
    (30 steps, fast) are those of the published code, where the distance is the rate before: another method around it
    may compute sooner. It looks at the gated temporal attention of STDiT3's block 13 of 28; here it is
    all that the middle block adds (of STDiT3 that temporal block), which every transformer has. It reuses each
    block's gated residual, and their sum is what the stack adds. `scale` is ours, so that there is a knob: at 0 only
    the last rate is used. Raises ValueError for a scale below 0, a codebook that cannot be looked up in, a U-Net, and
    in a run whose number of evaluations nobody knows.
    """

    scale: float = 1.0
    thresholds: Sequence[float] = (0.08, 0.16, 0.24, 0.32, 0.40)
    rates: Sequence[int] = (6, 5, 4, 3, 2, 1)
    _forwards: dict[int | str, _Forward] = field(default_factory=dict, init=False, repr=False)
    name = "adacache"
    version = 1
    knob: ClassVar[str] = "scale"

    def __post_init__(self) -> None:
        check_number("AdaCache's scale", self.scale)
        for key in ("thresholds", "rates"):
            numbers = getattr(self, key)
            if isinstance(numbers, str) or not isinstance(numbers, Sequence):
                raise ValueError(f"AdaCache's {key} must be a list of numbers, not {numbers!r}")
        if any(type(rate) is not int or rate < 1 for rate in self.rates):
            raise ValueError(f"AdaCache's rates must be whole numbers from 1, not {list(self.rates)}")
        rising = list(self.thresholds) == sorted(self.thresholds) and all(t > 0 for t in self.thresholds)
        if not rising or not 1 <= len(self.thresholds) == len(self.rates) - 1:
            must = f"rising, above 0 and one fewer than its {len(self.rates)} rates"
            raise ValueError(f"AdaCache's thresholds must be {must}, not {list(self.thresholds)}")

    def settings(self, trajectory: Trajectory) -> Range:
        """Return the scales from 0 to that at which a change of 2 gives the first rate."""
        return Range(0.0, 2 / self.thresholds[0])

    def choose_sites(self, denoiser: nn.Module) -> tuple[Site, ...]:
        """Return the whole stack of blocks, and the block in its middle."""
        refuse_unet("AdaCache", denoiser)
        spans = [tuple(map(int, site.block_label.split("-"))) for site in find_sites(denoiser, "span")]
        middle = spans[-1][1] // 2
        around = [(first, last) for first, last in spans if (first, last) != (middle, middle)]
        return find_sites(denoiser, "span", [*around, (middle, middle)])

    def decide(self, evaluation: Evaluation) -> Sequence[bool]:
        """Compute the stack at the rate that the last computed evaluation gave."""
        if evaluation.starts_run:
            self._forwards.clear()
        forward = self._forwards.setdefault(evaluation.forward_index, _Forward())
        is_end = evaluation.e >= known_evals("AdaCache", evaluation) - 2
        computes = evaluation.is_forced or is_end or evaluation.e == forward.computed + forward.rate
        if computes:
            forward.distance, forward.computed = evaluation.e - forward.computed, evaluation.e
        return [computes] * len(evaluation.sites)

    def observe(
        self, site: Site, evaluation: Evaluation, predicted: Callable[[], Any], computed: Any
    ) -> None:
        """See what the middle block adds, and look up the rate."""
        forward = self._forwards[evaluation.forward_index]
        if site != evaluation.sites[-1]:
            return
        if forward.added:
            change = relative_change(computed, forward.added) / forward.distance
            above = [change < self.scale * threshold for threshold in self.thresholds]
            forward.rate = self.rates[[*above, True].index(True)]
        forward.added = computed
