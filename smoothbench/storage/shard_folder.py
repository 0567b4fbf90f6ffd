"""The folders of shards: what each has drawn so far, with which code and on which device, until all are joined."""

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import torch

from smoothbench.errors import UsageError
from smoothbench.sibling_packages import ROOT
from smoothbench.storage.drawn_point import DrawnPoint
from smoothbench.storage.files import read_json, write_json
from smoothbench.storage.provenance import provenance

OF_NUMBERS = (  # the code that decides samples and features
    "baselines",
    "metrics",
    *(
        f"smoothbench/{room}"
        for room in ("caching", "evaluators", "media", "models", "planning", "sampling", "scoring", "solvers")
    ),
)


THREADS: Final = "number of threads"


class ShardFolder:
    """The folder of one of `count` shards of some seeds, beside those of the others, in a results folder.

    Its file `shard.json` says what the shard was drawn with, how often batches of its points were halved and which of
    them failed, and, once it is drawn, for which work.
    """

    def __init__(self, results: Path, seeds: range, index: int, count: int) -> None:
        self.results, self.seeds, self.index, self.count = results, seeds, index, count
        self.all_shards = results / "shards" / f"{seeds.start:09d}-{seeds.stop - 1:09d}"
        self.path = self.all_shards / f"{index}-of-{count}"

    @property
    def name(self) -> str:
        """The shard in messages."""
        return f"shard {self.index} of {self.count}"

    @property
    def lock(self) -> str:
        """The lock of the process that draws this shard."""
        return f"shard-{self.all_shards.name}-{self.path.name}"

    @property
    def siblings(self) -> "list[ShardFolder]":
        """The folders of all shards, this one included, in the order of their seeds."""
        return [ShardFolder(self.results, self.seeds, index, self.count) for index in range(self.count)]

    def begin(self, environment: Mapping[str, str]) -> None:
        """Note what the shard is drawn with, before anything is.

        Raises UsageError, naming the shard, where one of the same seeds was drawn with something else.
        """
        began = self.path.exists()
        if not began:  # before it looks at the others, so that of two that begin at once one is refused
            self._write({"environment": dict(environment)})
        try:
            for sibling in self.siblings:
                sibling.check(environment)
        except UsageError:
            if not began:
                self.remove()
            raise
        # what failed is drawn again
        halved = {point: replace(drawn, failure=None) for point, drawn in self.points().items()}
        self._write({"environment": dict(environment), "points": _plain(halved)})

    def check(self, environment: Mapping[str, str]) -> None:
        """Raise UsageError where this shard was drawn with something else."""
        known = self._read().get("environment")
        if known is None or known == environment:
            return
        what = next(key for key in {**environment, **known} if known.get(key) != environment.get(key))
        raise UsageError(
            f"{self.name} was drawn with {what} {known.get(what)}, and here it is {environment.get(what)}: such shards "
            f"are not pooled: run them all with the same{_how(what, known.get(what))}, or delete {self.path}, and this "
            "one is drawn again"
        )

    def note(self, point: str, drawn: DrawnPoint) -> None:
        """Note how drawing a point went, by its id, beside what is known of it from before a process was killed."""
        if drawn == DrawnPoint():
            return
        points = self.points()
        earlier = points.get(point, DrawnPoint())
        points[point] = replace(drawn, batches_halved=earlier.batches_halved + drawn.batches_halved)
        self._write({**self._read(), "points": _plain(points)})

    def points(self) -> dict[str, DrawnPoint]:
        """Return how drawing each point went, by its id; nothing of points that had no trouble."""
        points = self._read().get("points")
        try:
            return {str(key): DrawnPoint.from_json(each) for key, each in dict(points or {}).items()}
        except (ValueError, TypeError):  # damaged
            return {}

    def end(self, work: str, launch: str) -> None:
        """Note that the shard is drawn as far as it can be, for this work, by a job of this launch."""
        self._write({**self._read(), "drawn": work, "launch": launch})

    def drawn(self, work: str, launch: str) -> bool:
        """Whether the shard is drawn for this work; with a point that failed only in the same launch.

        Another launch draws the point again first.
        """
        note = self._read()
        failed = any(each.failure is not None for each in self.points().values())
        return note.get("drawn") == work and (not failed or note.get("launch") == launch)

    def drew_other(self, work: str) -> bool:
        """Whether the shard is drawn, but for other work."""
        return self._read().get("drawn") not in (None, work)

    def reopen(self) -> None:
        """Count the shard as not drawn where a point of it failed."""
        if any(each.failure is not None for each in self.points().values()):
            self._write({key: value for key, value in self._read().items() if key != "drawn"})

    def remove(self) -> None:
        """Delete the shard's folder."""
        shutil.rmtree(self.path, ignore_errors=True)

    def remove_all(self) -> None:
        """Delete the folders of all shards of these seeds, however many they were divided into."""
        shutil.rmtree(self.all_shards, ignore_errors=True)

    def _read(self) -> dict[str, Any]:
        content = read_json(self.path / "shard.json")
        return content if isinstance(content, dict) else {}

    def _write(self, content: Mapping[str, Any]) -> None:
        write_json(self.path / "shard.json", content)


def environment(device: torch.device) -> dict[str, str]:
    """Describe what decides the bytes of samples beside the configuration: code, packages, and kind of device."""
    origin = provenance(device)
    return {
        "the code": _code(),
        **{name: str(version) for name, version in origin["versions"].items() if name != "hydra-core"},
        "kind of device": str(origin["kind"]),
        # sums over many values are made in as many parts, also of what a GPU drew
        THREADS: str(origin["threads"]),
        "device": str(origin["device"]),
    }


def _how(what: str, value: str | None) -> str:
    return f" (OMP_NUM_THREADS={value})" if what == THREADS and value else ""


def _plain(points: Mapping[str, DrawnPoint]) -> dict[str, object]:
    """What to write of points: those that had trouble."""
    return {key: each.to_json() for key, each in points.items() if each != DrawnPoint()}


@cache  # of the code that this process runs, whatever changes on disk since
def _code() -> str:
    """Hash the source of all that decides numbers to twelve hexadecimal digits."""
    digest = hashlib.sha256()
    for file in sorted(file for room in OF_NUMBERS for file in (ROOT / room).rglob("*.py")):
        digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]
