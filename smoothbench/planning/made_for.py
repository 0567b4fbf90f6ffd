"""What a schedule's file was made for: the model, its guidance and the solver, held against those of a run."""

from collections.abc import Mapping
from typing import Any

from smoothbench.protocols import Config

MADE_FOR = "made_for"  # in a schedule's metadata
# of a model's identity, what a schedule is not made for, and what is only recorded: the weights' hash says more
CARRIES_OVER = ("dtype", "model_numerics", "prompts_sha256", "one_by_one", "compile")
RECORDED = ("name", "revision")


def made_for(parts: Config) -> Config:
    """Return what a schedule's metadata say of the model and the solver that it was made for.

    Args: parts, the descriptions of a point's model and solver.
    """
    model, solver = parts["model"]["identity"], parts["solver"]
    scalars = {key: value for key, value in model.items() if isinstance(value, str | int | float | None)}
    scalars |= _arguments(parts)
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
        if not isinstance(before, Mapping):
            continue
        given = _arguments(parts) if group == "model" else ()  # which the file may have without
        for key in {**before, **dict.fromkeys(given)}:
            if key not in RECORDED and now.get(key) != before.get(key):
                raise ValueError(
                    f"the schedule was made for {group} {key} {_shown(before.get(key))}, but the run has "
                    f"{_shown(now.get(key))}: make it anew for these settings (stage=tune)"
                )


def _arguments(parts: Config) -> dict[str, Any]:
    """The arguments of a pipeline's call but for texts and files: guidance, height, width, frames, ..."""
    arguments = parts["model"]["identity"].get("arguments")
    items = arguments.items() if isinstance(arguments, Mapping) else ()
    return {key: value for key, value in items if not _is_text(value)}


def _is_text(value: Any) -> bool:
    """Whether an argument is a text or a file, or a list of such."""
    values = value if isinstance(value, list | tuple) and value else [value]
    return all(isinstance(one, str) for one in values)


def _shown(value: Any) -> str:
    return "none" if value is None else f"{value!s:.40}"
