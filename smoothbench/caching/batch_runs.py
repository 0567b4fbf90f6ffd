"""What a planner may do with the calibration batch."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor, nn

from smoothbench.caching.predictor import Predictor
from smoothbench.caching.probes import Probe
from smoothbench.caching.recording import Recording
from smoothbench.caching.schedule import Schedule
from smoothbench.caching.steering import Steer
from smoothbench.caching.trajectory import Trajectory


class BatchRuns(Protocol):
    """Runs of the calibration batch, as many as a planner asks for; see `CalibrationBatch`, which counts their cost."""

    denoiser: nn.Module
    trajectory: Trajectory
    rows_per_sample: int  # rows of a forward's batch that belong to one sample, guidance included

    @property
    def uncached(self) -> Tensor:
        """The final latents of the uncached run, [samples, ...]."""
        ...

    def record(self, probes: Sequence[Probe]) -> Recording:
        """Return what probes give along the uncached run."""
        ...

    def forget(self) -> None:
        """Drop what was recorded."""
        ...

    def rollout(self, schedule: Schedule, predictor: str | Predictor | None = None) -> Tensor:
        """Return the final latents under a schedule, [samples, ...]; by default with the predictor of the point."""
        ...

    def steer(self, steer: Steer, computed: int) -> Tensor:
        """Return the final latents of a run in which `steer` stands in for all but `computed` evaluations."""
        ...

    def fine(self, probes: Sequence[Probe], substeps: int) -> tuple[Recording, Tensor]:
        """Return what probes give at the same evaluations of a run with sub-steps in between, and its final latents."""
        ...
