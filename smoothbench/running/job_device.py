"""The device of a job: where a launcher runs several beside each other, each takes a GPU of its own."""

from collections.abc import Iterator
from contextlib import contextmanager

from smoothbench.config.spec import Settings
from smoothbench.running.jobs import CURRENT
from smoothbench.sampling.own_device import own_device


@contextmanager
def job_device(settings: Settings) -> Iterator[str]:
    """Hold the device of a job within a context, and yield its name.

    That is the one asked for, but a GPU of the job's own where a launcher started it. A shard is left to itself: it
    takes one, also without a launcher, once it is sure that no other process is at work on it.
    """
    jobs = CURRENT.get(None)
    if settings.shard is not None or jobs is None or not jobs.by_launcher():
        yield settings.device
        return
    with own_device(settings.device) as name:
        yield name
