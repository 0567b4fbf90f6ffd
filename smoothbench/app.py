"""The command line: `python -m smoothbench`."""

import logging
import os
import sys

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from smoothbench.errors import PointsFailed, UsageError

log = logging.getLogger(__name__)


@hydra.main(version_base="1.3", config_path="../conf", config_name="config")
def task(cfg: DictConfig) -> None:
    """One job: an experiment, a point, or a calibration."""
    from smoothbench.experiment import Experiment, save_plan
    from smoothbench.plan import settings
    from smoothbench.report import write

    plan = settings(cfg)
    if plan.stage == "calibrate":
        log.info("wrote %s", save_plan(plan))
        return
    experiment = Experiment(plan)
    try:
        experiment.run()
    finally:
        for path in write(experiment.store.folder):
            log.info("wrote %s", path)


def main() -> None:
    """Exit codes: 0 done, 1 points failed, 2 the request cannot be met, 130 interrupted."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # errors reach us, and we print one line
    try:
        task()
    except PointsFailed as error:
        _end(error, 1)
    except (UsageError, HydraException, OmegaConfBaseException) as error:
        _end(error, 2)
    except KeyboardInterrupt:
        _end("interrupted: the same command goes on where it stopped", 130)


def _end(error: object, code: int) -> None:
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    sys.exit(code)
