"""Final latents of rollouts that earlier plannings on the same calibration batch have sampled."""

from collections.abc import Hashable

import torch
from torch import Tensor

from smoothbench.caching.schedule import Computed, Schedule

ROOM = 256 << 20  # bytes of final latents that are kept, in host memory


class KnownRollouts:
    """Keeps the final latents of rollouts, so that a method that is planned for several budgets samples each once.

    They belong to one calibration batch with one predictor: `begin` names it. What does not fit into `room` bytes is
    not kept, and sampled again. `used` counts the rollouts that were not sampled again.
    """

    def __init__(self, room: int = ROOM) -> None:
        self.used = 0
        self._room = self._left = room
        self._batch: Hashable = None
        self._finals: dict[tuple[tuple[str, ...], Computed], tuple[Tensor, torch.device]] = {}

    def begin(self, batch: Hashable) -> None:
        """Say which batch is planned on from here on; what another gave is dropped."""
        if batch != self._batch:
            self._batch, self._finals, self._left = batch, {}, self._room
        self.used = 0

    def get(self, schedule: Schedule) -> Tensor | None:
        """Return the final latents under a schedule; None where they are not kept."""
        pair = self._finals.get((schedule.sites, schedule.computed))
        if pair is None:
            return None
        self.used += 1
        final, device = pair
        return final.to(device)

    def keep(self, schedule: Schedule, final: Tensor) -> None:
        """Keep the final latents under a schedule in host memory, where there is room."""
        if final.nbytes <= self._left:
            self._finals[schedule.sites, schedule.computed] = final.cpu(), final.device
            self._left -= final.nbytes
