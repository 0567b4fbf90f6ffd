"""How the jobs of one command ended, also those that a launcher ran in other processes or on other machines."""

import os
import socket
import time
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from shutil import rmtree
from typing import Any
from uuid import uuid4

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from smoothbench.running.orphans import end_with
from smoothbench.storage.files import read_json, write_json

DIED = 1  # exit code of a job that began and did not say how it ended
WAITED_FOR = ("joblib",)  # launchers whose processes are the command's own, and of no use without it
KEPT = 30 * 24 * 3600  # seconds that the files of a command stay that was killed before it could remove them


class Jobs(Callback):
    """Where a command reads the exit code of each of its jobs.

    A job of a multirun says so in a file when it begins, and its code in the same file when it ends, as a launcher
    may run it anywhere: all that is shared is the sweep's folder. One whose file has no code has died, and so has
    one without a file that is not the last. Where jobs run in this process their codes count without a file: Hydra
    makes a warning of one that cannot be written.
    """

    def __init__(self) -> None:
        self.folder: Path | None = None  # of a multirun's files
        # those of a multirun's command, for jobs in others
        self._process, self._machine = 0, ""
        self.reason: str | None = None  # why the job that runs in this process failed
        self._code = 0  # of a single run, and the worst of those in this process

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Choose a folder of this command's own: jobs get this object with it."""
        self._process, self._machine = os.getpid(), socket.gethostname()
        parent = Path(config.hydra.sweep.dir).absolute()
        self.folder = parent / f".jobs-{uuid4().hex}"
        for old in parent.glob(".jobs-*"):
            with suppress(OSError):  # gone by now
                if time.time() - old.stat().st_mtime > KEPT:
                    rmtree(old)

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """In the job's process, before it."""
        self.reason = None
        CURRENT.set(self)  # where a launcher brought this object to another process
        choices = OmegaConf.select(config, "hydra.runtime.choices") or {}
        if self.folder is not None and choices.get("hydra/launcher") in WAITED_FOR:
            end_with(self._process)
        self._say(config, None)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """In the job's process, after it; not where it was interrupted."""
        done = job_return.status == JobStatus.COMPLETED
        self._say(config, int(job_return.return_value) if done else DIED)

    def by_launcher(self) -> bool:
        """Whether a launcher runs the job in another process than the command's, and so maybe beside others."""
        return self.folder is not None and (self._process, self._machine) != (
            os.getpid(),
            socket.gethostname(),
        )

    def _say(self, config: DictConfig, code: int | None) -> None:
        self._code = max(self._code, code or 0)
        if self.folder is None:
            return
        job = {"asked": list(config.hydra.overrides.task), "code": code, "reason": self.reason}
        write_json(self._file(config.hydra.job.num), job)

    def _file(self, number: int) -> Path:
        assert self.folder is not None
        return self.folder / f"{number:06d}.json"

    def failures(self) -> str | None:
        """Which jobs of a multirun failed, by what was asked of them alone, in one line; None where none did.

        Where several failed for one reason, the line says that instead: what they said themselves may be far away.
        """
        jobs = self._found()
        reasons = [job.get("reason") for job in jobs if job["code"] != 0]
        if len(reasons) > 1 and len(set(reasons)) == 1 and reasons[0] is not None:
            return f"{len(reasons)} of {len(jobs)} jobs failed: {reasons[0]}"
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
        if self.folder is None:
            return []
        last = max((int(file.stem) for file in self.folder.glob("*.json")), default=-1)
        files = [self._file(number) for number in range(last + 1)]
        return [read_json(file) or {"asked": [f"job {i}"], "code": None} for i, file in enumerate(files)]

    def forget(self) -> None:
        """Remove the files."""
        if self.folder is not None:
            rmtree(self.folder, ignore_errors=True)


CURRENT: ContextVar[Jobs] = ContextVar("jobs of the command that runs")


def current() -> Jobs:
    """Hydra's callback of this command; see conf/config.yaml."""
    return CURRENT.get()


def launch_name() -> str:
    """Name the command that this process runs a job of; empty outside of a multirun."""
    jobs = CURRENT.get(None)
    return jobs.folder.name if jobs is not None and jobs.folder is not None else ""


def _ending(code: int | None) -> str:
    return "died" if code is None else f"exit code {code}"
