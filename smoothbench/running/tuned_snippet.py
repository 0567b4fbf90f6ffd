"""The lines that run a tuned schedule in plain diffusers, with the settings that it was tuned for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smoothbench.models.pipeline.input_files import is_file_argument
from smoothbench.planning.made_for import made_for
from smoothbench.planning.point import Point
from smoothbench.protocols import Config, Model, SamplesItself


def snippet(point: Point, path: Path, model: Model) -> str:
    """Return the lines that run a tuned schedule in a pipeline of diffusers."""
    known, is_pipeline = made_for(point.described), isinstance(model, SamplesItself)
    names = ["Schedule", "cached", "saved_sites"]
    context = f"cached(denoiser, schedule{_forwards(model)}) as run"
    if point.trajectory.restarts:
        names.insert(2, "joined")
        context = f"joined(denoiser, pipe.transformer_2), {context}"
    scheduler = _scheduler(known["solver"]) if is_pipeline else []
    imports = ["import diffusers"] if any("diffusers" in line for line in scheduler) else []
    arguments = ["...", *(_arguments(point.described) if is_pipeline else ()), _steps(point, known["solver"])]
    tuned = "" if is_pipeline else f"  # as it was tuned: {_settings(known)}"
    lines = [
        *imports,
        f"from smoothbench.caching import {', '.join(names)}",
        "",
        f"path = {str(path)!r}",
        *scheduler,
        f"denoiser = pipe.{known['model'].get('component') or 'transformer'}  # of {model.name}",
        "schedule = Schedule.load(path, saved_sites(path, denoiser))",
        f"with {context}:",
        f"    output = pipe({', '.join(arguments)}){tuned}",
        'print(f"{run.skipped_share:.0%} skipped")',
    ]
    return "\n".join(lines)


def _forwards(model: Model) -> str:
    return f", calls_per_eval={model.forwards}" if model.forwards > 1 else ""


def _steps(point: Point, solver: Config) -> str:
    """The steps of a run, of which a scheduler of second order, or a strength, makes another number of evaluations."""
    return f"num_inference_steps={solver.get('steps') or point.trajectory.evals}"


def _scheduler(solver: Config) -> list[str]:
    """The line that gives a pipeline the scheduler, where it is not the pipeline's own."""
    name, config = solver.get("scheduler"), solver.get("config") or {}
    if name is None and not config:
        return []
    kind = "type(pipe.scheduler)" if name is None else f"diffusers.{name}"
    given = f", **{dict(config)!r}" if config else ""
    return [f"pipe.scheduler = {kind}.from_config(pipe.scheduler.config{given})"]


def _arguments(parts: Config) -> list[str]:
    """The arguments of a pipeline's call; pictures and clips, known by their digests alone, are named."""
    arguments = parts["model"]["identity"].get("arguments")
    items = arguments.items() if isinstance(arguments, Mapping) else ()
    return [f"{key}={'...' if is_file_argument(key, value) else repr(value)}" for key, value in items]


def _settings(known: Mapping[str, Any]) -> str:
    guidance = known["model"].get("guidance")
    return known["solver"]["name"] + (f", guidance {guidance:g}" if guidance is not None else "")
