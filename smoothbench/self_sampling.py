"""What a model has whose own loop samples: the capability through which the harness runs foreign pipelines."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

AnnounceRun = Callable[[int, float, int], None]  # before each forward: its evaluation, coordinate and index


@runtime_checkable
class SamplesItself(Protocol):
    """A model with a sampling loop of its own, which calls the denoiser: a pipeline of another library.

    The harness takes no steps then: `predict`, `output` and `conditioning` are never called.
    """

    def at(self, solver: Any) -> Any:
        """Return a solver with the coordinates of the evaluations that the model's loop runs with it."""
        ...

    def sample_itself(
        self,
        solver: Any,
        seeds: Sequence[int],
        announce: AnnounceRun,
        labels_or_prompts: Tensor | None = None,
        finished: bool = False,
    ) -> Tensor:
        """Sample a batch and return its latents [B, ...], or what `decode` takes where `finished`.

        Call `announce` before each forward of the denoiser.
        """
        ...


@runtime_checkable
class SwitchesNetworks(Protocol):
    """A solver under which the denoiser's weights change on the way: at `restarts`, nothing may be reused."""

    @property
    def restarts(self) -> tuple[int, ...]: ...
