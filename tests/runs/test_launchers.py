"""Jobs that a launcher runs in other processes: each leaves its exit code, or is known to have died."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

from smoothbench.running.jobs import Jobs
from tests.support.warm_process import WarmProcess

# hydra_plugins/forking.py: each job in a process of its own; it asks nobody how they ended, as the worst might not
LAUNCHER = """
import os
from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from omegaconf import open_dict

class Forking(Launcher):
    def setup(self, *, hydra_context, task_function, config):
        self.context, self.task, self.config = hydra_context, task_function, config

    def launch(self, job_overrides, initial_job_idx):
        import smoothbench.running.experiment  # once for all

        setup_globals()
        children = [self.start(initial_job_idx + i, list(asked)) for i, asked in enumerate(job_overrides)]
        for child in children:
            os.waitpid(child, 0)
        done = JobReturn(status=JobStatus.COMPLETED)
        return [done] * len(children)

    def start(self, number, asked):
        child = os.fork()
        if child:
            return child
        config = self.context.config_loader.load_sweep_config(self.config, asked)
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        run_job(self.task, config, "hydra.sweep.dir", "hydra.sweep.subdir", self.context)
        os._exit(0)

ConfigStore.instance().store(group="hydra/launcher", name="forking", node={"_target_": "hydra_plugins.forking.Forking"})
"""
# a method that takes its process with it
DEADLY = """
import os, signal

class Deadly:
    needs_curves = False

    def __init__(self, **parameters):
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_failures_of_jobs_in_other_processes_are_those_of_the_command(tmp_path: Path) -> None:
    (tmp_path / "hydra_plugins").mkdir()
    (tmp_path / "hydra_plugins/forking.py").write_text(LAUNCHER)
    (tmp_path / "deadly.py").write_text(DEADLY)
    few = ("stage=cost", "latency.rounds=0", "solver.steps=4", "cache=fora", "hydra/launcher=forking")
    methods = "cache.policy._target_=baselines.fora.FORA,no.such.Method,deadly.Deadly"
    process = WarmProcess(*few, methods, "-m", folder=tmp_path)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 2, errors
    assert "no.such.Method cannot be imported" in errors  # said by the job itself
    assert errors.strip().splitlines()[-1] == (
        "error: 2 of 3 jobs failed: cache.policy._target_=no.such.Method (exit code 2); "
        "cache.policy._target_=deadly.Deadly (died)"
    )
    assert len(list(tmp_path.glob("results/runs/adhoc/records/*.json"))) == 2  # what did not fail is done
    assert not list(tmp_path.rglob(".jobs*"))


def test_a_failed_job_counts_where_its_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "sweep").write_text("a file where the folder should be")
    jobs = Jobs()
    jobs.on_multirun_start(config(tmp_path / "sweep", 0))
    with pytest.raises(OSError):  # of which Hydra makes a warning
        jobs.on_job_end(config(tmp_path, 0), JobReturn(status=JobStatus.COMPLETED, _return_value=2))
    assert jobs.code() == 2


def test_a_job_without_a_file_before_others_has_died(tmp_path: Path) -> None:
    jobs = Jobs()
    jobs.on_multirun_start(config(tmp_path, 0))
    jobs.on_job_end(config(tmp_path, 1), JobReturn(status=JobStatus.COMPLETED, _return_value=0))
    assert jobs.code() == 1 and jobs.failures() == "1 of 2 jobs failed: job 0 (died)"


def test_what_a_killed_command_left_is_swept_up_a_month_later(tmp_path: Path) -> None:
    for name, days in (("old", 31), ("new", 29)):
        (tmp_path / f".jobs-{name}").mkdir()
        (tmp_path / f".jobs-{name}/000000.json").write_text("{}")
        os.utime(tmp_path / f".jobs-{name}", (time.time() - days * 86400,) * 2)
    Jobs().on_multirun_start(config(tmp_path, 0))
    assert [path.name for path in tmp_path.iterdir()] == [".jobs-new"]


def config(folder: Path, number: int) -> Any:
    job = {"num": number}
    return OmegaConf.create(
        {"hydra": {"sweep": {"dir": str(folder)}, "job": job, "overrides": {"task": ["a=1", f"b={number}"]}}}
    )


@pytest.mark.parametrize("number", [0, 1])
def test_a_job_that_began_and_said_no_more_has_died(tmp_path: Path, number: int) -> None:
    jobs = Jobs()
    jobs.on_multirun_start(config(tmp_path, 0))
    for each in range(2):
        child = os.fork()
        if not child:
            jobs.on_job_start(config(tmp_path, each))
            if each == number:
                os.kill(os.getpid(), signal.SIGKILL)
            jobs.on_job_end(config(tmp_path, each), JobReturn(status=JobStatus.COMPLETED, _return_value=0))
            os._exit(0)
        os.waitpid(child, 0)
    assert jobs.code() == 1 and jobs.failures() == f"1 of 2 jobs failed: b={number} (died)"
    jobs.forget()
    assert not list(tmp_path.iterdir())


def test_jobs_that_failed_for_one_reason_are_that_reason(tmp_path: Path) -> None:
    jobs = Jobs()
    jobs.on_multirun_start(config(tmp_path, 0))
    for number, reason in enumerate(("two launches", "two launches", None)):
        jobs.reason = reason
        jobs.on_job_end(
            config(tmp_path, number), JobReturn(status=JobStatus.COMPLETED, _return_value=2 * bool(reason))
        )
    assert jobs.failures() == "2 of 3 jobs failed: two launches"
    jobs.reason = "another"
    jobs.on_job_end(config(tmp_path, 1), JobReturn(status=JobStatus.COMPLETED, _return_value=1))
    assert jobs.failures() == "2 of 3 jobs failed: b=0 (exit code 2); b=1 (exit code 1)"
