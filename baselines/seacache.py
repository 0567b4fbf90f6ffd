"""SeaCache (arXiv 2602.18993): reuse the stack of blocks until changes of the filtered noisy sample add up."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from baselines.accumulated_change import AccumulatedChange
from baselines.relative_change import relative_change
from baselines.time_grid import check_place, mismatch
from baselines.wiener_filter import wiener_filtered
from smoothbench.caching import Evaluation, Trajectory


@runtime_checkable
class NoiseLevels(Protocol):
    """A solver that tells how noisy its samples are: `noise_to_signal` is sigma / alpha at each evaluation."""

    @property
    def coordinates(self) -> Sequence[float]: ...

    @property
    def noise_to_signal(self) -> Sequence[float]: ...


@dataclass
class SeaCache(AccumulatedChange):
    """SeaCache reuses what all blocks add until the changes of the noisy sample, rid of its noise, add up.

    TeaCache's rule without a polynomial: the relative L1 change of the filtered sample since the evaluation before is
    added up; at `threshold` all is computed and the sum starts again. The first and the last evaluation are computed.
    The Wiener filter knows how noisy the sample is (`noise`, a solver), takes the signal's power to fall as f^-power
    (published: 2 for images, 3 for video; here so by the sample's axes), and has a mean gain of 1 (equation 7). Built
    is diffusers' version, which filters the denoiser's input, on its grid [B, C, ...], so that nothing runs in vain;
    the authors' code filters the first block's modulated input. diffusers also reuses at most 2 evaluations in a row
    (`longest`), and predicts by order 1. Raises ValueError for values out of range, a U-Net, and a run of which it
    does not know the noise.
    """

    threshold: float = 0.2
    noise: NoiseLevels = field(kw_only=True)
    power: float | None = None
    longest: int | None = None  # type: ignore[assignment]
    _last: dict[int | str, Tensor] = field(default_factory=dict, init=False, repr=False)
    name = "seacache"
    version = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        number = type(self.power) in (int, float) and isfinite(self.power or 0)
        if self.power is not None and not (number and self.power > 0):
            raise ValueError(f"SeaCache's power must be a finite number above 0, or null, not {self.power!r}")

    def supports(self, trajectory: Trajectory, model: Any) -> str | None:
        """Return why the noise at these timesteps is not known; None where it is."""
        if not isinstance(self.noise, NoiseLevels):
            return f"SeaCache needs the noise of each evaluation, and {type(self.noise).__name__} does not tell it"
        return mismatch("SeaCache's solver", self.noise.coordinates, trajectory.coordinates)

    def decide(self, evaluation: Evaluation) -> Sequence[bool]:
        """Compute the stack where the changes have reached the threshold."""
        check_place("SeaCache's solver", self.noise.coordinates, evaluation)
        if evaluation.starts_run:
            self._last.clear()
        level = self.noise.noise_to_signal[evaluation.e]
        new = wiener_filtered(evaluation.hidden_states, level, self.power)
        old = self._last.get(evaluation.forward_index)
        self._last[evaluation.forward_index] = new
        change = None if old is None else relative_change([new], [old])
        return [self.computes(evaluation, change)] * len(evaluation.sites)
