"""The command line: `python -m smoothbench`."""

import logging
import os
import sys
from pathlib import Path
from typing import cast

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from smoothbench import beside, command
from smoothbench.config.old_keys import check_overrides
from smoothbench.errors import PointsFailed, UsageError, one_line, with_cause
from smoothbench.running.jobs import CURRENT, Jobs
from smoothbench.storage.locks import locked

log = logging.getLogger(__name__)


def main() -> None:
    """Exit codes: 0 done, 1 points failed, 2 the request cannot be met, 128 + a signal's number: stopped by it.

    Each mistake is one line on the error stream. Hydra composes the jobs of a multirun before the first one runs:
    where one does not compose none runs, else all do, and the worst code counts.
    """
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra's own errors reach us
    jobs = Jobs()
    running = CURRENT.set(jobs)
    try:
        sys.exit(command.run(lambda: _jobs(jobs), "the same command goes on where it stopped"))
    finally:
        CURRENT.reset(running)
        jobs.forget()


def task(cfg: DictConfig) -> int:
    """One job of Hydra's, in this process or in one that a launcher started."""
    with command.streams():
        return job(cfg, cast(DictConfig, HydraConfig.get()))


def _jobs(jobs: Jobs) -> int:
    """All that Hydra runs for this command line; the worst exit code."""
    # an absolute folder: one named conf where the command runs is not ours
    start = hydra.main(version_base="1.3", config_path=str(beside.ROOT / "conf"), config_name="config")
    code = 0
    try:
        check_overrides(
            sys.argv[1:]
        )  # Hydra would propose to append an old key, and write a multirun's file first
        start(task)()
    except (
        HydraException,
        OmegaConfBaseException,
        OSError,
        UsageError,
    ) as error:  # OSError: a multirun's folder
        code = command.end(with_cause(error), 2)
    except Exception as error:  # of a launcher whose worker died
        log.debug("", exc_info=True)
        code = command.end(f"{type(error).__name__}: {one_line(error)} (hydra.verbose=true shows where)", 1)
    if failed := jobs.failures():
        command.end(failed, 1)
    return max(code, jobs.code())


def job(cfg: DictConfig, asked: DictConfig | None = None) -> int:
    """One job, an experiment, a point or a calibration; its exit code.

    `asked` is Hydra's configuration, with the overrides: refused where nobody reads them.
    """
    try:
        from smoothbench.config.expand import settings
        from smoothbench.config.overrides import check_read  # not at the top: --help need not wait for torch

        plan = settings(cfg)
        if asked is not None:
            check_read(cfg, asked)
        if plan.out is not None:
            from smoothbench.running.calibrate_or_train import save_plan

            log.info("wrote %s", save_plan(plan))
            return 0
        from smoothbench.running.experiment import Experiment

        experiment = Experiment(plan)
        try:
            experiment.run()
        except Exception:  # not where it was stopped: a cluster does not wait for pictures
            _report(experiment.store.folder)
            raise
        _report(experiment.store.folder)
    except PointsFailed as error:
        return command.end(error, 1)
    except UsageError as error:
        return command.end(error, 2)
    except Exception as error:
        log.debug("", exc_info=True)
        return command.end(f"{type(error).__name__}: {error} (hydra.verbose=true shows where)", 1)
    return 0


def _report(folder: Path) -> None:
    """Tables and pictures of what there is so far; the table goes to the output stream too."""
    from smoothbench.report import summary, write

    if not any(folder.glob("records/*.json")):
        return
    try:
        with locked(folder, "report"):  # of several processes the last one has the parts of all
            paths = write(folder)
    except (OSError, ValueError) as error:  # a full disk, for instance: the run has its own error to tell
        log.warning("no report: %s", error)
        return
    print(summary(folder))
    log.info("wrote %s and %d more", paths[0], len(paths) - 1)
