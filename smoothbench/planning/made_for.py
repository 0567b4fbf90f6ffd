"""What a schedule's file was made for: the model, its guidance and the solver, held against those of a run."""

from collections.abc import Mapping
from typing import Any

from smoothbench.protocols import Config

MADE_FOR = "made_for"  # in a schedule's metadata
# of a model's identity, what a schedule is not made for, and what is only recorded: the weights' hash says more
CARRIES_OVER, RECORDED = ("dtype", "model_numerics", "prompts_sha256"), ("name", "revision")


def made_for(parts: Config) -> Config:
    """Return what a schedule's metadata say of the model and the solver that it was made for.

    Args: parts, the descriptions of a point's model and solver.
    """
    model, solver = parts["model"]["identity"], parts["solver"]
    scalars = {key: value for key, value in model.items() if isinstance(value, str | int | float | None)}
    arguments = model.get("arguments")  # of a pipeline: guidance, height, width, frames, ...
    numbers = arguments.items() if isinstance(arguments, Mapping) else ()
    scalars |= {key: value for key, value in numbers if isinstance(value, int | float)}
    return {
        "model": {key: value for key, value in scalars.items() if key not in CARRIES_OVER},
        "solver": {"name": solver.get("name", solver.get("class")), **solver["parameters"]},
    }


def check_made_for(meta: Mapping[str, Any], parts: Config) -> None:
    """Raise ValueError, naming both sides, where a schedule was made for another model, guidance or solver."""
    known = meta.get(MADE_FOR)
    if not isinstance(known, Mapping):
        return
    for group, now in made_for(parts).items():
        before = known.get(group)
        for key, value in before.items() if isinstance(before, Mapping) else ():
            if key not in RECORDED and (key not in now or now[key] != value):
                raise ValueError(
                    f"the schedule was made for {group} {key} {value!s:.40}, but the run has "
                    f"{now.get(key, 'none')!s:.40}: make it anew for these settings (stage=tune)"
                )
