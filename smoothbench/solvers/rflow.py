"""Rectified flow with Open-Sora's timestep transform (Liu et al. 2023, arXiv 2209.03003; hpcaitech/Open-Sora)."""

from dataclasses import dataclass

from torch import Tensor

from smoothbench.protocols import Noise
from smoothbench.solvers.flow_times import FlowTimes
from smoothbench.solvers.plain_state import PlainState


@dataclass(frozen=True)
class RectifiedFlow(PlainState, FlowTimes):
    """Euler steps along straight paths from noise to data, for denoisers that predict velocity.

    The grid is that of `FlowTimes`: even in time, then moved towards the noise by `shift`. The last step goes to 0.
    Raises ValueError, naming the setting, for values out of range.
    """

    name = "rflow"
    version = 1

    def step(self, e: int, state: Tensor, output: Tensor, noise: Noise) -> Tensor:
        """Go from evaluation e to the next one along the predicted velocity [B, ...]; draws no fresh noise."""
        return state + (self._times[e] - self._times[e + 1]) * output
