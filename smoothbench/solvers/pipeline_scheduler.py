"""The sampler of a model that samples itself: a diffusers pipeline's own scheduler, or another class by its name."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

REFUSAL = "solver=pipeline samples in a diffusers pipeline's own loop: take it with model=pipeline alone"


@dataclass(frozen=True)
class PipelineScheduler:
    """The scheduler with which a diffusers pipeline samples in its own loop; this class takes no steps itself.

    `steps` is the pipeline's `num_inference_steps`; `scheduler` the name of a class of diffusers that takes the place
    of the pipeline's own scheduler (null), made of that one's configuration; `config` replaces parts of the
    configuration. `coordinates` are known once the model was rehearsed with it (`at`): the timesteps of its
    evaluations, of which a second-order scheduler has more than steps. Raises ValueError for steps below 1, and for a
    configuration that is no mapping.
    """

    name: ClassVar[str] = "pipeline_scheduler"
    version: ClassVar[int] = 1
    prediction: ClassVar[str] = "its own sampling loop"

    steps: int = 50
    scheduler: str | None = None
    config: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if type(self.steps) is not int or self.steps < 1:
            raise ValueError(f"solver.steps must be a whole number from 1, not {self.steps}")
        if not isinstance(self.config, Mapping | None):
            raise ValueError(
                f"solver.config must be names with values, such as {{flow_shift: 5.0}}, not {self.config!r:.60}"
            )

    @property
    def coordinates(self) -> tuple[float, ...]:
        """The timesteps of the evaluations, the noisiest first; before a rehearsal, the steps that are left."""
        known: tuple[float, ...] | None = vars(self).get("_coordinates")
        return tuple(map(float, range(self.steps, 0, -1))) if known is None else known

    @property
    def restarts(self) -> tuple[int, ...]:
        """The evaluations at which another network begins (Wan 2.2); none before a rehearsal."""
        restarts: tuple[int, ...] = vars(self).get("_restarts", ())
        return restarts

    @property
    def shows_coordinates(self) -> bool:
        """Whether the denoiser's own timesteps are the coordinates, as of most; those of Lumina2 and Z-Image rise."""
        shows: bool = vars(self).get("_shows_coordinates", True)
        return shows

    def at(
        self, coordinates: tuple[float, ...], restarts: tuple[int, ...] = (), shows_coordinates: bool = True
    ) -> "PipelineScheduler":
        """Return the same scheduler with what a rehearsal of the pipeline has seen of its evaluations."""
        timed = copy.copy(self)
        vars(timed).update(_coordinates=coordinates, _restarts=restarts, _shows_coordinates=shows_coordinates)
        return timed

    def begin(self, x: Any) -> NoReturn:
        """Raise ValueError: the pipeline takes the steps itself."""
        raise ValueError(REFUSAL)

    def model_input(self, e: int, state: Any) -> NoReturn:
        """Raise ValueError: the pipeline takes the steps itself."""
        raise ValueError(REFUSAL)

    def step(self, e: int, state: Any, output: Any, noise: Any) -> NoReturn:
        """Raise ValueError: the pipeline takes the steps itself."""
        raise ValueError(REFUSAL)

    def sample(self, state: Any) -> NoReturn:
        """Raise ValueError: the pipeline takes the steps itself."""
        raise ValueError(REFUSAL)
