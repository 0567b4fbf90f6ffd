"""The scheduler of a run: the pipeline's own, or another class of diffusers with its configuration."""

import inspect
from difflib import get_close_matches
from typing import Any

import diffusers
from diffusers import SchedulerMixin

from smoothbench.errors import one_line, shown
from smoothbench.models.pipeline.components import is_stand_in
from smoothbench.solvers.pipeline_scheduler import PipelineScheduler


def scheduler_for(solver: PipelineScheduler, published: Any) -> Any:
    """Make a new scheduler as the solver says, from the configuration of the pipeline's own one.

    Raises ValueError, naming the setting, for a class that is no scheduler of this diffusers, for one that needs
    another package or that no pipeline's loop could step, and for parts of the configuration that the class does not
    have or cannot take.
    """
    kind = type(published) if solver.scheduler is None else _named(solver.scheduler)
    given = dict(solver.config or {})
    known = [name for name in inspect.signature(kind.__init__).parameters if name != "self"]
    if unknown := [key for key in given if key not in known]:
        raise ValueError(
            f"solver.config.{unknown[0]}: {kind.__name__} has no such setting{_hint(unknown[0], known)}"
        )
    if not (is_stand_in(kind) or callable(getattr(kind, "step", None))):
        raise ValueError(
            f"solver.scheduler={kind.__name__}: this class has no method step, by which evaluations are told apart: "
            "choose another one, for instance DDIMScheduler"
        )
    try:
        return kind.from_config(published.config, **given)
    except ImportError as error:  # diffusers' stand-in for a class that needs another package
        raise ValueError(f"solver.scheduler={kind.__name__}: {one_line(error)[:160]}") from None
    except Exception as error:  # schedulers refuse their settings by exceptions of many kinds
        setting = f"solver.config={shown(given)}" if given else f"solver.scheduler={kind.__name__}"
        raise ValueError(
            f"{setting}: {kind.__name__} cannot be made so ({type(error).__name__}: {one_line(error)[:160]}): give "
            "values that it takes, or choose another solver.scheduler"
        ) from None


def _named(name: str) -> Any:
    kind = getattr(diffusers, name, None)
    if kind is None or not isinstance(kind, type):
        known = [each for each in dir(diffusers) if "Scheduler" in each]
        raise ValueError(
            f"solver.scheduler={name}: diffusers {diffusers.__version__} has no such scheduler{_hint(name, known)}"
        )
    if not (issubclass(kind, SchedulerMixin) or is_stand_in(kind)):
        raise ValueError(
            f"solver.scheduler={name}: this class is no scheduler, for instance DDIMScheduler is one"
        )
    return kind


def _hint(name: object, known: list[str]) -> str:
    close = get_close_matches(str(name), known, 1)
    return f": {close[0]}?" if close else f", it has {', '.join(known[:8])}, ..."
