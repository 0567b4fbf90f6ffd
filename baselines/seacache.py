"""SeaCache (arXiv 2602.18993): reuse the stack of blocks until changes of the filtered noisy sample add up."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from baselines.accumulated_change import AccumulatedChange, relative_change
from baselines.whole_stack import whole_stack
from smoothbench.caching import Evaluation, Range, Site, Trajectory, grid

LARGEST = 1e6  # ratio of noise to signal, as in the published code; where all is noise it has no bound


@runtime_checkable
class NoiseLevels(Protocol):
    """A solver that knows how much noise its samples hold: `noise_to_signal` is sigma / alpha at each evaluation."""

    @property
    def coordinates(self) -> Sequence[float]: ...

    @property
    def noise_to_signal(self) -> Sequence[float]: ...


@dataclass
class SeaCache:
    """SeaCache reuses what all blocks add until the changes of the noisy sample, rid of its noise, add up.

    TeaCache's rule without a polynomial: relative L1 changes since the evaluation before are added up, and at
    `threshold` all is computed and the sum starts again; the first and the last evaluation are computed. What changes
    is the sample behind a Wiener filter, for a signal whose power falls with frequency as f^-power (published: 2 for
    images, 3 for video, here by the sample's axes) and the noise of its level, with a mean gain of 1 (equation 7). Built is
    diffusers' version, which filters the denoiser's input, so that nothing of it runs in vain; the authors' code
    filters the first block's modulated input. diffusers also reuses at most 2 in a row (`longest`), and predicts by
    order 1. Raises ValueError for values out of range, and where it does not know the noise of a run's timesteps.
    """

    noise: NoiseLevels
    threshold: float = 0.2
    power: float | None = None
    longest: int | None = None
    _sum: AccumulatedChange = field(init=False, repr=False, compare=False)
    _levels: Sequence[float] = field(default=(), init=False, repr=False, compare=False)
    _last: dict[int | str, Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)
    name = "seacache"
    version = 1
    knob: ClassVar[str] = "threshold"

    def __post_init__(self) -> None:
        self._sum = AccumulatedChange("SeaCache", self.threshold, longest=self.longest)
        if self.power is not None and not (
            type(self.power) in (int, float) and 0 < self.power < float("inf")
        ):
            raise ValueError(f"SeaCache's power must be a finite number above 0, or null, not {self.power!r}")

    def settings(self, trajectory: Trajectory) -> Range:
        """Return the thresholds from 0, where all is computed, to a change of 1 for each evaluation."""
        return Range(0.0, float(trajectory.evals))

    def choose_sites(self, denoiser: nn.Module) -> tuple[Site, ...]:
        """Return the whole stack of blocks."""
        return whole_stack(denoiser, "SeaCache")

    def supports(self, trajectory: Trajectory, model: Any) -> str | None:
        """Return why the noise at these timesteps is not known; None where it is."""
        if not isinstance(self.noise, NoiseLevels):
            return f"SeaCache needs the noise of each evaluation, and {type(self.noise).__name__} does not tell it"
        if grid.same(self.noise.coordinates, trajectory.coordinates):
            return None
        known, run = grid.describe(self.noise.coordinates), grid.describe(trajectory.coordinates)
        return f"SeaCache knows the noise at timesteps {known}, and the run's are {run}: give it the run's solver"

    def decide(self, evaluation: Evaluation) -> Sequence[bool]:
        """Compute the stack where the changes have reached the threshold."""
        if evaluation.starts_run:
            self._last.clear()
            self._levels = self.noise.noise_to_signal
        self._check(evaluation)
        new = sea_filtered(evaluation.hidden_states, self._levels[evaluation.e], self.power)
        old = self._last.get(evaluation.forward_index)
        self._last[evaluation.forward_index] = new
        change = None if old is None else relative_change([new], [old])
        return [self._sum.computes(evaluation, change)] * len(evaluation.sites)

    def _check(self, evaluation: Evaluation) -> None:
        e, place, known = evaluation.e, evaluation.coordinate, self.noise.coordinates
        if evaluation.evals not in (None, len(known)) or e >= len(known):
            raise ValueError(
                f"SeaCache knows the noise of {len(known)} evaluations, not of {evaluation.evals or e + 1}"
            )
        if place is not None and not grid.is_close(known, e, place):
            raise ValueError(
                f"SeaCache knows the noise at timestep {known[e]:.6g} of evaluation {e}, and the run is at {place:.6g}: "
                "give it the run's solver"
            )


def sea_filtered(x: Tensor, noise_to_signal: float, power: float | None = None) -> Tensor:
    """Filter noisy samples [B, C, ...] over their axes by a separable Wiener filter of mean gain 1, in float32.

    Args: noise_to_signal, sigma / alpha; power, the exponent of the signal's spectrum, None for 2, and 3 of video.
    """
    axes = tuple(range(2, x.ndim))
    exponent = power or (3.0 if len(axes) > 2 else 2.0)
    gain = torch.ones((), device=x.device)
    for axis in axes:
        frequency = torch.fft.fftfreq(x.shape[axis], device=x.device).abs()
        along = 1 / (1 + min(noise_to_signal, LARGEST) ** 2 * frequency**exponent)
        gain = gain * along.reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    return torch.fft.ifftn(torch.fft.fftn(x.float(), dim=axes) * (gain / gain.mean()), dim=axes).real
