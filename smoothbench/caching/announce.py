"""How a sampling loop announces which evaluation runs."""

from collections.abc import Callable
from typing import Any

from smoothbench.caching.evaluation_clock import Clock

StepCallback = Callable[[Any, int, Any, dict[str, Any]], dict[str, Any]]


class Announcer:
    """Announces evaluations to a clock, where the denoiser's own arguments do not show them."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def step(self, e: int, coordinate: float | None = None, forward_index: int | str = 0) -> None:
        """Announce the next forward: its evaluation, the step coordinate, its index or name within the evaluation."""
        self.clock.announce(e, coordinate, forward_index)

    def step_callback(self) -> StepCallback:
        """A callback for a diffusers pipeline's `callback_on_step_end`: all forwards of a step are one evaluation.

        For pipelines whose timestep does not show where evaluations begin, or whose steps take several forwards.
        """
        self.clock.expect_step_ends()

        def step_ended(pipe: Any, index: int, timestep: Any, values: dict[str, Any]) -> dict[str, Any]:
            self.clock.end_step(index, final=index + 1 == getattr(pipe, "num_timesteps", None))
            return values

        return step_ended
