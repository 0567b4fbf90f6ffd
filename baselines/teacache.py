"""TeaCache (arXiv 2411.19108): reuse the stack of blocks until predicted changes of the output add up."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar

from torch import Tensor, nn

from baselines.accumulated_change import AccumulatedChange
from baselines.polynomial import Polynomial, fitted_to
from baselines.relative_change import relative_change
from baselines.time_grid import check_place, mismatch
from smoothbench.caching import Evaluation, Probe, Site, Trajectory, find_sites
from smoothbench.caching.batch_runs import BatchRuns
from smoothbench.caching.fingerprint import fingerprint


@dataclass
class TeaCache(AccumulatedChange):
    """TeaCache reuses what all blocks add until the changes that it predicts of the model's output add up.

    The relative L1 change of the first block's modulated input since the evaluation before goes through a polynomial
    and is added up; at `threshold` all is computed and the sum starts again. The first and the last evaluation are
    computed. The polynomial, of order 4, is fitted by least squares to these changes and those of the model's output,
    of uncached samples with their guidance rows: the authors took 70 prompts, here it is the calibration batch. As in
    their code nothing bounds it from below. The modulated input is that of the first branch. Where blocks have no
    modulation (Stable Audio) it is the norm's output, in which the time is the first token, as in vLLM-Omni's port.
    Raises ValueError for a threshold below 0, a U-Net, and a polynomial of another model or of other timesteps.
    """

    polynomial: Polynomial | None = None
    _last: dict[int | str, Tensor] = field(default_factory=dict, init=False, repr=False)
    name = "teacache"
    version = 1
    digested: ClassVar[tuple[str, ...]] = ("polynomial",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.polynomial, Polynomial | None):
            raise ValueError(f"TeaCache's polynomial must be a Polynomial or null, not {self.polynomial!r}")

    @property
    def digest(self) -> str | None:
        """The sha256 of the polynomial."""
        return None if self.polynomial is None else self.polynomial.digest

    @property
    def is_fitted(self) -> bool:
        """Whether it has a polynomial."""
        return self.polynomial is not None

    def fit_on(self, trajectory: Trajectory, batch: BatchRuns) -> Mapping[str, Any]:
        """Fit the polynomial to the changes of each sample of the calibration batch."""
        probes = [*self.choose_probes(batch.denoiser), Probe("denoiser")]
        recording = batch.record(probes)
        changes, changes_of_output = (_changes(recording.tensor(probe)) for probe in probes)
        coefficients, r_squared = fitted_to(changes, changes_of_output, order=4)
        on = fingerprint(batch.denoiser), trajectory.coordinates
        return asdict(Polynomial(coefficients, *on, r_squared))

    def fitted(self, numbers: Mapping[str, Any]) -> "TeaCache":
        """Return the method with the polynomial that `fit_on` gave."""
        return replace(self, polynomial=Polynomial(**numbers))

    def supports(self, trajectory: Trajectory, model: Any) -> str | None:
        """Return why the polynomial is not for these timesteps; None where it is, or is yet to be fitted."""
        known = None if self.polynomial is None else self.polynomial.coordinates
        return None if known is None else mismatch("the polynomial", known, trajectory.coordinates)

    def choose_sites(self, denoiser: nn.Module) -> tuple[Site, ...]:
        """Return the whole stack of blocks; ValueError where the polynomial is another model's."""
        if self.polynomial is not None:
            self.polynomial.check_denoiser(denoiser)
        return super().choose_sites(denoiser)

    def choose_probes(self, denoiser: nn.Module) -> Sequence[Probe]:
        """Return the first branch's input: the stream, normalised and modulated."""
        return [Probe(find_sites(denoiser)[0].name, "input")]

    def decide(self, evaluation: Evaluation) -> Sequence[bool]:
        """Compute the stack up to the probe; ValueError where there is no polynomial for this evaluation."""
        if self.polynomial is None:
            raise ValueError(
                "TeaCache has no polynomial yet: TeaCache.fitted(TeaCache.fit_on(trajectory, batch))"
            )
        if self.polynomial.coordinates is not None:
            check_place("the polynomial", self.polynomial.coordinates, evaluation)
        if evaluation.starts_run:
            self._last.clear()
        return [True] * len(evaluation.sites)

    def decide_after(self, probe: Probe, evaluation: Evaluation, value: Tensor) -> Sequence[bool]:
        """Compute the rest of the stack where the predicted changes have reached the threshold."""
        assert self.polynomial is not None
        old = self._last.get(evaluation.forward_index)
        change = None if old is None else self.polynomial(relative_change([value], [old]))
        self._last[evaluation.forward_index] = value
        return [self.computes(evaluation, change)] * len(evaluation.sites)


def _changes(values: Tensor) -> Tensor:
    """Relative L1 changes of neighbouring evaluations, float64 [pairs]; values [evaluation, sample, row, ...]."""
    flat = values.double().flatten(2)
    return ((flat[1:] - flat[:-1]).abs().sum(2) / flat[:-1].abs().sum(2)).flatten()
