"""How the jobs of one command ended, also those that a launcher ran in other processes or on other machines."""

from contextvars import ContextVar
from pathlib import Path
from shutil import rmtree
from typing import Any
from uuid import uuid4

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from smoothbench.store import read_json, write_json

DIED = 1  # exit code of a job that began and did not say how it ended


class Jobs(Callback):
    """Where a command reads the exit code of each of its jobs.

    A job of a multirun says so in a file when it begins, and its code in the same file when it ends, as a launcher
    may run it anywhere: all that is shared is the sweep's folder. One whose file has no code has died.
    """

    def __init__(self) -> None:
        self.folder: Path | None = None  # of a multirun's files
        self._code = 0  # of a single run

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Choose a folder of this command's own: jobs get this object with it."""
        self.folder = Path(config.hydra.sweep.dir).absolute() / f".jobs-{uuid4().hex}"

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """In the job's process, before it."""
        self._say(config, None)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """In the job's process, after it; not where it was interrupted."""
        done = job_return.status == JobStatus.COMPLETED
        self._say(config, int(job_return.return_value) if done else DIED)

    def _say(self, config: DictConfig, code: int | None) -> None:
        if self.folder is None:
            self._code = code or 0
            return
        job = {"asked": list(config.hydra.overrides.task), "code": code}
        write_json(self.folder / f"{config.hydra.job.num:06d}.json", job)

    def failures(self) -> str | None:
        """Which jobs of a multirun failed, by what was asked of them alone, in one line; None where none did."""
        jobs = self._found()
        common = set.intersection(*(set(job["asked"]) for job in jobs)) if len(jobs) > 1 else set()
        failed = [
            f"{' '.join(each for each in job['asked'] if each not in common)} ({_ending(job['code'])})"
            for job in jobs
            if job["code"] != 0
        ]
        return f"{len(failed)} of {len(jobs)} jobs failed: {'; '.join(failed)}" if failed else None

    def code(self) -> int:
        """The worst of all jobs."""
        return max([self._code, *(DIED if job["code"] is None else job["code"] for job in self._found())])

    def _found(self) -> list[dict[str, Any]]:
        files = sorted(self.folder.glob("*.json")) if self.folder else []
        return [read_json(file) or {"asked": [file.stem], "code": None} for file in files]

    def forget(self) -> None:
        """Remove the files."""
        if self.folder is not None:
            rmtree(self.folder, ignore_errors=True)


CURRENT: ContextVar[Jobs] = ContextVar("jobs of the command that runs")


def current() -> Jobs:
    """Hydra's callback of this command; see conf/config.yaml."""
    return CURRENT.get()


def _ending(code: int | None) -> str:
    return "died" if code is None else f"exit code {code}"
