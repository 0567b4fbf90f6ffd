"""What a model has whose own loop samples: the capability through which the harness runs foreign pipelines."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

AnnounceRun = Callable[[int, float, int], None]  # before each forward: its evaluation, coordinate and index


@runtime_checkable
class SamplesItself(Protocol):
    """A model with a sampling loop of its own, which calls the denoiser: a pipeline of another library.

    The harness takes no steps then: `predict`, `output` and `conditioning` are never called. One that draws
    `one_by_one` calls its denoiser for single samples, whatever the batch.
    """

    one_by_one: bool

    def at(self, solver: Any) -> Any:
        """Return a solver with the coordinates of the evaluations that the model's loop runs with it."""
        ...

    def settings(self, solver: Any) -> dict[str, Any]:
        """Return what a run with this solver has that its configuration leaves to the pipeline: scheduler, guidance."""
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


@runtime_checkable
class ShowsCoordinates(Protocol):
    """A solver that says whether the denoiser's own timesteps are its coordinates; of others they are.

    Where they are not, a run that the harness does not announce cannot be held against the coordinates.
    """

    @property
    def shows_coordinates(self) -> bool: ...


def samples_at_once(model: object, batch: int) -> int:
    """Return of how many samples of a batch a model's forwards are: all of them, or one where it draws one by one."""
    return 1 if isinstance(model, SamplesItself) and model.one_by_one else batch
