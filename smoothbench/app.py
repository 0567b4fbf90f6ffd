"""The command line: `python -m smoothbench`."""

import logging
import os
import sys
from pathlib import Path

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from smoothbench.errors import PointsFailed, UsageError
from smoothbench.locks import locked

log = logging.getLogger(__name__)


def main() -> None:
    """Exit codes: 0 done, 1 points failed, 2 the request cannot be met, 130 interrupted.

    Each mistake is one line on the error stream; in a multirun the jobs that compose all run.
    """
    codes = [0]

    @hydra.main(version_base="1.3", config_path="../conf", config_name="config")
    def task(cfg: DictConfig) -> None:
        codes.append(job(cfg))

    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra's own errors reach us
    try:
        task()
    except (HydraException, OmegaConfBaseException) as error:
        codes.append(_end(error, 2))
    except OSError as error:  # Hydra makes a multirun's folder before our code runs
        codes.append(_end(error, 2))
    except KeyboardInterrupt:
        codes.append(_end("interrupted: the same command goes on where it stopped", 130))
    sys.exit(max(codes))


def job(cfg: DictConfig) -> int:
    """One job, an experiment, a point or a calibration; its exit code."""
    from smoothbench.plan import settings  # not at the top: --help need not wait for torch

    try:
        plan = settings(cfg)
        if plan.out is not None:
            from smoothbench.saving import save_plan

            log.info("wrote %s", save_plan(plan))
            return 0
        from smoothbench.experiment import Experiment

        experiment = Experiment(plan)
        try:
            experiment.run()
        finally:
            _report(experiment.store.folder)
    except PointsFailed as error:
        return _end(error, 1)
    except UsageError as error:
        return _end(error, 2)
    except Exception as error:
        log.debug("", exc_info=True)
        return _end(f"{type(error).__name__}: {error} (hydra.verbose=true shows where)", 1)
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


def _end(error: object, code: int) -> int:
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    return code
