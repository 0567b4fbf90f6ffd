"""A pipeline's run without its cost: the loop runs as it is, but the denoiser answers with what it gave at first."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from smoothbench.caching.forward_watch import watched
from smoothbench.caching.hooks import Forward
from smoothbench.caching.outputs import Rebuild, take_apart
from smoothbench.caching.timestep import TimestepArgument, first_tensor
from smoothbench.errors import one_line
from smoothbench.models.pipeline.own_loop import watching_loop

Arguments = tuple[Sequence[Any], Mapping[str, Any]]


@dataclass
class Rehearsal:
    """What a pipeline's loop does with its denoiser for one sample.

    By evaluation and forward: `rows` of the batch and the denoiser's own `timesteps`; `steps` are the scheduler's
    timesteps, `first` the arguments of the forwards of the first evaluation. `networks` says at which evaluations its
    second network ran, and `output` is what the pipeline returned.
    """

    rows: list[list[torch.Size]] = field(default_factory=list)
    timesteps: list[float | None] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)
    first: list[Arguments] = field(default_factory=list)
    networks: list[bool] = field(default_factory=list)
    output: Any = None

    @property
    def forwards(self) -> int:
        """The number of forwards of an evaluation."""
        return len(self.rows[0])

    @property
    def guidance_rows(self) -> int:
        """The rows of one sample in an evaluation, over all of its forwards."""
        return sum(shape[0] for shape in self.rows[0])

    @cached_property
    def coordinates(self) -> tuple[float, ...]:
        """The timesteps of the evaluations, the noisiest first: the denoiser's own where they fall, as most do.

        Else the scheduler's, and where these do not fall either the number of evaluations that are left.
        """
        timesteps = [t for t in self.timesteps if t is not None]
        for grid in (timesteps, self.steps):
            if (
                len(grid) == len(self.rows)
                and grid == sorted(grid, reverse=True)
                and (len(set(grid)) > 1 or len(grid) == 1)
            ):
                return tuple(grid)
        return tuple(map(float, range(len(self.rows), 0, -1)))

    @property
    def shows_coordinates(self) -> bool:
        """Whether the denoiser's own timesteps are the coordinates, so that a run without the harness shows them."""
        return self.timesteps == list(self.coordinates)

    @property
    def restarts(self) -> tuple[int, ...]:
        """The evaluations at which another network begins, so that nothing may be reused."""
        return tuple(e for e in range(1, len(self.networks)) if self.networks[e] != self.networks[e - 1])

    def check(self, name: str) -> None:
        """Raise ValueError where the evaluations cannot be told, or differ in their forwards or rows."""
        if not self.rows:
            raise ValueError(f"{name} never called its denoiser: choose another model.component")
        if not self.steps:
            raise ValueError(
                f"{name} never called its scheduler's step: its evaluations cannot be told apart"
            )
        for e, shapes in enumerate(self.rows):
            if len(shapes) != len(self.rows[0]):
                raise ValueError(
                    f"{name} runs {len(shapes)} forwards in evaluation {e}, but {len(self.rows[0])} in the first: set "
                    "model.arguments so that guidance holds for all steps or for none"
                )
            for shape, at_first in zip(shapes, self.rows[0], strict=True):
                if shape == at_first:
                    continue
                raise ValueError(
                    f"{name} gives its denoiser {list(shape)} in evaluation {e}, but {list(at_first)} in the "
                    "first: set model.arguments so that guidance and size hold for all steps"
                )


def rehearse(
    denoiser: nn.Module, scheduler: Any, call: Callable[[], Any], name: str, second: Callable[[], bool]
) -> Rehearsal:
    """Run a pipeline's loop once; a forward of new shapes is computed, and its output stands for all alike.

    `second` says whether a second network runs. Raises ValueError, naming the pipeline, where the engine could not
    follow its loop, and where it draws noise that does not follow from the samples' seeds.
    """
    seen, answers, timestep = (
        Rehearsal(),
        dict[str, tuple[list[Tensor], Rebuild]](),
        TimestepArgument(denoiser.forward),
    )

    def before(e: int, index: int, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        if index == 0:
            now = timestep.read(args, kwargs)
            seen.rows.append([])
            seen.networks.append(second())
            seen.timesteps.append(None if now is None else now.value)
        seen.rows[e].append(first_tensor(args, kwargs).shape)
        if e == 0:
            seen.first.append((args, kwargs))

    def answer(original: Forward, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        key = repr(_shapes((args, kwargs)))
        if key not in answers:
            answers[key] = take_apart(original(*args, **kwargs), name)
        leaves, rebuild = answers[key]
        return rebuild([leaf.clone() for leaf in leaves])

    with (
        torch.no_grad(),
        watched(denoiser, lambda args, kwargs: None, lambda failed, output: None, answer),
        watching_loop(denoiser, scheduler, before, lambda t: seen.steps.append(float(t))),
    ):
        before_call = _global_generators()
        seen.output = _called(call, name)
        if not all(map(torch.equal, before_call, _global_generators())):
            raise ValueError(
                f"{name} draws noise from torch's global generator, not from those of its samples, which would not "
                f"follow from their seeds: choose another solver.scheduler than {type(scheduler).__name__}, or look "
                "at solver.config"
            )
    seen.check(name)
    return seen


def _global_generators() -> list[Tensor]:
    """The states of torch's own generators, which noise without a generator is drawn from."""
    on_devices = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return [torch.get_rng_state(), *on_devices]


def _called(call: Callable[[], Any], name: str) -> Any:
    try:
        return call()
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # pipelines refuse their arguments by exceptions of many kinds
        reason = f"{type(error).__name__}: {one_line(error)[:240]}"
        raise ValueError(
            f"{name} cannot be called so ({reason}): look at model.arguments and at solver"
        ) from error


def _shapes(arguments: Any) -> Any:
    leaves, structure = torch.utils._pytree.tree_flatten(arguments)
    return structure, [leaf.shape if isinstance(leaf, Tensor) else type(leaf) for leaf in leaves]
