"""The scheduler of a run: the pipeline's own, or another class of diffusers with its configuration."""

import inspect
from difflib import get_close_matches
from typing import Any

import diffusers
from diffusers import SchedulerMixin

from smoothbench.solvers.pipeline_scheduler import PipelineScheduler


def scheduler_for(solver: PipelineScheduler, published: Any) -> Any:
    """Make a new scheduler as the solver says, from the configuration of the pipeline's own one.

    Raises ValueError, naming the setting, for a class that is no scheduler of this diffusers, for one that needs
    another package, and for parts of the configuration that the class does not have.
    """
    kind = type(published) if solver.scheduler is None else _named(solver.scheduler)
    given = dict(solver.config or {})
    known = [name for name in inspect.signature(kind.__init__).parameters if name != "self"]
    if unknown := [key for key in given if key not in known]:
        raise ValueError(
            f"solver.config.{unknown[0]}: {kind.__name__} has no such setting{_hint(unknown[0], known)}"
        )
    try:
        return kind.from_config(published.config, **given)
    except ImportError as error:  # diffusers' stand-in for a class that needs another package
        raise ValueError(f"solver.scheduler={kind.__name__}: {' '.join(str(error).split())[:160]}") from None


def _named(name: str) -> Any:
    kind = getattr(diffusers, name, None)
    if kind is None or not isinstance(kind, type):
        known = [each for each in dir(diffusers) if "Scheduler" in each]
        raise ValueError(
            f"solver.scheduler={name}: diffusers {diffusers.__version__} has no such scheduler{_hint(name, known)}"
        )
    if not issubclass(kind, SchedulerMixin) and "Dummy" not in type(kind).__name__:
        raise ValueError(
            f"solver.scheduler={name}: this class is no scheduler, for instance DDIMScheduler is one"
        )
    return kind


def _hint(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, 1)
    return f": {close[0]}?" if close else f", it has {', '.join(known[:8])}, ..."
