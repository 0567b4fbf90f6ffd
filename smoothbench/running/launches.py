"""Launches of one experiment that do not go together: in shards and without, or in shards twice."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from smoothbench.config.spec import Settings
from smoothbench.errors import UsageError
from smoothbench.running.jobs import launch_name
from smoothbench.storage.identity import identity
from smoothbench.storage.lock_kind import locks_of
from smoothbench.storage.locks import locked, opened
from smoothbench.storage.results_folder import Store

FILE: Final = re.compile(r"launch-(\d+-\d+)-(\d+)-([0-9a-f]+)-(\w*)")


@dataclass(frozen=True)
class Launch:
    """What a process does of some seeds: all (`shards` 0), or one of so many shards, for a command of this name.

    `points` names the points by what is asked for. A process that was started by hand belongs to a command without a
    name, which goes with any other.
    """

    seeds: str
    shards: int
    points: str
    command: str

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the launch of this process."""
        seeds = settings.specs[0].seeds
        nodes = [[s.name, s.solver, s.policy, s.predictor, s.calibration, s.at] for s in settings.specs]
        shards = settings.shard.count if settings.shard is not None else 0
        command = re.sub(r"\W", "", launch_name()) if shards else ""
        name = f"{seeds.start:09d}-{seeds.stop - 1:09d}"
        return cls(name, shards, identity([settings.model, nodes]), command)

    @classmethod
    def in_file(cls, name: str) -> Self | None:
        """Return the launch that a lock is named after; None where it is another lock."""
        match = FILE.fullmatch(name)
        return cls(match[1], int(match[2]), match[3], match[4]) if match else None

    @property
    def lock(self) -> str:
        """The lock that every process of the launch shares."""
        return f"launch-{self.seeds}-{self.shards}-{self.points}-{self.command}"

    def refuses(self, other: Self) -> str | None:
        """Say how the other launch goes about the same work, where both cannot do it at once; None where they can."""
        if self.seeds != other.seeds or not (self.shards or other.shards):
            return None
        if not (self.shards and other.shards):  # as long as they draw other points they may
            how = f"in {other.shards} shards" if other.shards else "without shards"
            return how if self.points == other.points else None
        if self.shards != other.shards:
            return f"in {other.shards} shards"
        another = self.command and other.command and self.command != other.command
        return "in as many shards, by another command" if another else None


@contextmanager
def one_launch(settings: Settings) -> Iterator[None]:
    """Show other processes within a context how this one goes about the experiment.

    Raises UsageError where another process is at work on the same seeds in a way that does not go with it: both would
    draw the same samples.
    """
    if not settings.draws_samples:
        yield
        return
    folder, mine = Path(settings.results_dir).absolute() / "runs" / settings.experiment, Launch.of(settings)
    Store(folder).check()
    with locked(folder, "launches"):  # one at a time looks and begins
        for path in sorted(locks_of(folder).glob("launch-*")):
            other = Launch.in_file(path.name)
            how = mine.refuses(other) if other is not None else None
            if how is not None and not _ended(folder, path):
                raise UsageError(
                    f"{folder}: another process is at work on these seeds {how}: two launches of one experiment at "
                    "once do not go together: wait until that one has ended, then the same command draws what is "
                    "missing"
                )
        lock = opened(folder, mine.lock)
        lock.take(shared=True)
    try:
        yield
    finally:
        lock.close()


def _ended(folder: Path, path: Path) -> bool:
    """Whether nobody shares the lock of a launch any more; its file is deleted then, as it is one a command."""
    with locked(folder, path.name, wait=False) as ended:
        if ended:
            with suppress(OSError):  # where an open file cannot be deleted
                path.unlink(missing_ok=True)
        return ended
