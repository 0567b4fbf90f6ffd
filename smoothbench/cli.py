"""The command line `python -m smoothbench`: run jobs that Hydra composes, and end with an exit code."""

import logging
import os
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from smoothbench import command, sibling_packages
from smoothbench.config.launcher import check_launcher, take_our_options
from smoothbench.config.loss_target import quoted
from smoothbench.config.old_keys import check_overrides
from smoothbench.config.shard import with_jobs
from smoothbench.config.unknown_keys import reworded
from smoothbench.errors import PointsFailed, UsageError, one_line, with_cause
from smoothbench.running.jobs import CURRENT, Jobs
from smoothbench.storage.locks import locked
from smoothbench.time_limit import time_limit

if TYPE_CHECKING:
    from smoothbench.config.spec import Settings

log = logging.getLogger(__name__)


def main() -> None:
    """Run the command line and exit: 0 done, 1 points failed, 2 the request cannot be met, 128 + a signal's number.

    Each error is one line on the error stream. Hydra composes all jobs of a multirun before the first one runs: if one
    cannot be composed none runs, else all run, and the worst exit code counts.
    """
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra raises its errors instead of printing and exiting
    jobs = Jobs()
    running = CURRENT.set(jobs)
    try:
        sys.exit(command.run(lambda: _jobs(jobs), "the same command goes on where it stopped"))
    finally:
        CURRENT.reset(running)
        jobs.forget()


def task(cfg: DictConfig) -> int:
    """Run one job of Hydra, in this process or in one that a launcher started; return its exit code.

    Raises what a handler of a launcher's raises at the end of the job's time.
    """
    with command.streams(), time_limit():
        return job(cfg, cast(DictConfig, HydraConfig.get()))


def _jobs(jobs: Jobs) -> int:
    """Run all jobs that Hydra composes for this command line; return the worst exit code."""
    # an absolute path, because the current folder may have a conf of its own
    start = hydra.main(
        version_base="1.3", config_path=str(sibling_packages.ROOT / "conf"), config_name="config"
    )
    code = 0
    try:
        sys.argv[1:] = with_jobs([quoted(argument) for argument in sys.argv[1:]])
        check_launcher(sys.argv[1:])
        take_our_options()
        # Hydra would propose to append an old key, and write a multirun's file first
        check_overrides(sys.argv[1:])
        start(task)()
    except (
        HydraException,
        OmegaConfBaseException,
        OSError,
        UsageError,
    ) as error:  # OSError: a multirun's folder
        code = command.end(reworded(with_cause(error)), 2)
    except Exception as error:  # for instance a launcher whose worker died
        log.debug("", exc_info=True)
        code = command.end(f"{type(error).__name__}: {one_line(error)} (hydra.verbose=true shows where)", 1)
    if failed := jobs.failures():
        command.end(failed, 1)
    return max(code, jobs.code())


def job(cfg: DictConfig, hydra_config: DictConfig | None = None) -> int:
    """Run one job, an experiment, a point or a calibration; return its exit code.

    `hydra_config` is Hydra's own configuration, which holds the overrides: an override without effect is an error.
    """
    try:
        from smoothbench.config.expand import settings
        from smoothbench.config.overrides import check_read  # not at the top: --help does not wait for torch
        from smoothbench.running.job_device import job_device

        plan = settings(cfg)
        if hydra_config is not None:
            check_read(cfg, hydra_config)
        with job_device(plan) as device:
            _run(replace(plan, device=device))
    except PointsFailed as error:
        return _end(error, 1)
    except UsageError as error:
        return _end(error, 2)
    except Exception as error:
        log.debug("", exc_info=True)
        return _end(f"{type(error).__name__}: {error} (hydra.verbose=true shows where)", 1)
    return 0


def _end(error: object, code: int) -> int:
    """Print why a job failed, and leave it for the command that started it; return the exit code."""
    if (jobs := CURRENT.get(None)) is not None:
        jobs.reason = " ".join(str(error).split())
    return command.end(error, code)


def _run(plan: "Settings") -> None:
    """Run the stage that the settings name."""
    if plan.stage == "tune":
        from smoothbench.running.tune import tune

        tune(plan)
    elif plan.out is not None:
        from smoothbench.running.calibrate_or_train import save_plan

        log.info("wrote %s", save_plan(plan))
    else:
        _run_experiment(plan)


def _run_experiment(plan: "Settings") -> None:
    """Run an experiment, or a shard of it, and report; of several shards, the last to finish does."""
    from smoothbench.running.experiment import Experiment
    from smoothbench.running.launches import one_launch
    from smoothbench.running.shards import last_shard

    with (
        one_launch(plan),
        nullcontext(Experiment(plan)) if plan.shard is None else last_shard(plan) as experiment,
    ):
        if experiment is None:
            return
        try:
            experiment.run()
        except Exception:  # a stopped run is not caught: a cluster does not wait for pictures
            _report(experiment.store.folder)
            raise
        _report(experiment.store.folder)


def _report(folder: Path) -> None:
    """Write tables and pictures of the results so far, and print the table."""
    from smoothbench.report import summary, write

    if not any(folder.glob("records/*.json")):
        return
    try:
        with locked(folder, "report"):  # one process at a time: the last one reports the results of all
            paths = write(folder)
    except (OSError, ValueError) as error:  # for instance a full disk, which the run reports itself
        log.warning("no report: %s", error)
        return
    print(summary(folder))
    log.info("wrote %s and %d more", paths[0], len(paths) - 1)
