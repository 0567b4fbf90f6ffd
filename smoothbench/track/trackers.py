"""Trackers by name. Each library is imported when its tracker is asked for, and needed by nothing else."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

from smoothbench.errors import UsageError, one_line
from smoothbench.storage.results_folder import file_stem
from smoothbench.track.tracked_runs import TrackedRun

Runs = Sequence[TrackedRun]
MARK = "written-by-smoothbench"  # beside event files, so that another call may replace them


def to_mlflow(runs: Runs, project: str, place: str | None, folder: Path) -> str:
    """Write runs to MLflow, those of the same point in place of earlier ones.

    Args: place, a tracking URI; None for the database `mlflow.db` in the folder.
    """
    mlflow = _library("mlflow", "mlflow")
    uri = place or f"sqlite:///{(folder.resolve() / 'mlflow.db').as_posix()}"
    client = mlflow.MlflowClient(tracking_uri=uri)
    known = client.get_experiment_by_name(project)
    experiment = known.experiment_id if known else client.create_experiment(project)
    for run in runs:
        for earlier in client.search_runs([experiment], f"tags.point_id = '{run.point_id}'"):
            client.delete_run(earlier.info.run_id)
        made = client.create_run(experiment, tags=dict(run.tags), run_name=run.name)
        run_id = made.info.run_id
        for name, value in run.parameters.items():
            client.log_param(run_id, _plain(name), str(value)[:500])
        for name, number in run.numbers.items():
            client.log_metric(run_id, _plain(name), number)
        client.set_terminated(run_id, "FINISHED" if run.tags.get("status") == "done" else "FAILED")
    return uri


def to_tensorboard(runs: Runs, project: str, place: str | None, folder: Path) -> str:
    """Write runs as event files, a folder for each point, with their settings as hyperparameters.

    Args: place, the folder of the logs; None for `tensorboard` in the results folder.
    """
    _library("tensorboard", "tensorboard")
    writers = import_module("torch.utils.tensorboard")
    logs = Path(place) if place else folder / "tensorboard"
    for run in runs:
        target = folder_of(run, logs)
        _replaceable(target)
        with writers.SummaryWriter(str(target)) as writer:
            writer.add_text("point", "\n".join(f"- {name}: {text}" for name, text in run.tags.items()))
            writer.add_hparams(dict(run.parameters), dict(run.numbers), run_name=".")
        (target / MARK).touch()
    return str(logs)


def folder_of(run: TrackedRun, logs: Path) -> Path:
    """Return the folder of a point's event files, which lies in that of the logs whatever the point is called."""
    return logs / file_stem(run.name, run.point_id)


def to_wandb(runs: Runs, project: str, place: str | None, folder: Path) -> str:
    """Write runs to Weights & Biases, those of the same point in place of earlier ones.

    Args: place, the folder of its files; None for the results folder. WANDB_MODE=offline keeps all on this machine.
    """
    wandb = _library("wandb", "wandb")
    for run in runs:
        made = wandb.init(
            project=project,
            id=run.point_id,
            name=run.name,
            config=dict(run.parameters) | dict(run.tags),
            dir=place or str(folder),
            resume="allow",
            reinit="finish_previous",
        )
        made.summary.update(dict(run.numbers))
        made.finish()
    return f"project {project}"


def to_trackio(runs: Runs, project: str, place: str | None, folder: Path) -> str:
    """Write runs to Trackio. Args: place, a Space on the Hub; None for this machine."""
    trackio = _library("trackio", "trackio")
    for run in runs:
        options = {} if place is None else {"space_id": place}
        trackio.init(
            project=project,
            name=f"{run.name}-{run.point_id}",
            config=dict(run.parameters) | dict(run.tags),
            **options,
        )
        trackio.log(dict(run.numbers))
        trackio.finish()
    return f"project {project}"


TRACKERS: Mapping[str, Callable[[Runs, str, str | None, Path], str]] = MappingProxyType(
    {"mlflow": to_mlflow, "tensorboard": to_tensorboard, "trackio": to_trackio, "wandb": to_wandb}
)


def write_runs(to: str, runs: Runs, project: str, place: str | None, folder: Path) -> str:
    """Write runs to a tracker by its name, and return where they are; see the function of the tracker.

    Raises UsageError where the library is missing, or refuses: a tracker's own words on one line.
    """
    try:
        return TRACKERS[to](runs, project, place, folder)
    except (UsageError, OSError):
        raise
    except Exception as error:  # each library has its own
        raise UsageError(f"--to {to}: {one_line(error)}") from error


def _library(name: str, package: str) -> Any:
    """Import a library; UsageError, with the command that installs it, where it is missing."""
    try:
        return import_module(name)
    except ImportError as error:
        raise UsageError(f"--to {name}: it is not installed ({error}): pip install {package}") from error


def _plain(name: str) -> str:
    """A name of letters that MLflow takes: `fd_nano@256` has one that it does not."""
    return "".join(letter if letter.isalnum() or letter in "_-. /" else "_" for letter in name)


def _replaceable(target: Path) -> None:
    """Remove the event files that an earlier call wrote; UsageError where others lie there."""
    if not target.is_dir() or not any(target.iterdir()):
        return
    if not (target / MARK).exists():
        raise UsageError(
            f"{target}: it holds files that are none of this command: choose another --at FOLDER"
        )
    shutil.rmtree(target)
