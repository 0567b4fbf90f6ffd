"""What a machine, and the control groups that this process is in, leave of its memory."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import NamedTuple

# where Linux shows control groups
GROUPS = "sys/fs/cgroup"


class GroupFiles(NamedTuple):
    """The names that a version of control groups gives to what it says of memory."""

    limit: str
    usage: str
    # entries of memory.stat, the first that is there counts
    reclaimable: tuple[str, ...]


# of version 1 the usage is that of all groups below, which inactive_file alone is not
V1 = GroupFiles("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_inactive_file", "inactive_file"))
V2 = GroupFiles("memory.max", "memory.current", ("inactive_file",))


def host_bytes(root: Path = Path("/")) -> int | None:
    """What this process may still take of the machine's memory, or None where nobody says.

    Args: root, the folder in which Linux shows proc and sys.
    """
    left = (_left(folder, files) for folder, files in _groups(root))
    free = [value for value in (_available(root / "proc/meminfo"), *left) if value is not None]
    return min(free, default=None)


def _available(meminfo: Path) -> int | None:
    """What Linux says that programs may still have."""
    lines = meminfo.read_text().splitlines() if meminfo.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _groups(root: Path) -> Iterator[tuple[Path, GroupFiles]]:
    """Yield the folders of the groups that count this process's memory, each with those around it.

    A container shows its own group as the outermost one, whatever the path that the process has outside.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        number, controllers, path = line.split(":", 2)
        group = PurePosixPath(*(part for part in path.split("/") if part not in ("", "..")))
        if number == "0":
            # beside version 1 the other lies in a folder of its own
            mounts, files = [root / GROUPS, root / GROUPS / "unified"], V2
        elif "memory" in controllers.split(","):
            mounts, files = [root / GROUPS / "memory"], V1
        else:
            continue
        yield from ((mount / each, files) for mount in mounts for each in chain([group], group.parents))


def _left(group: Path, files: GroupFiles) -> int | None:
    """What a container, or a cluster's job, has left of its limit; None where it has none.

    Pages of files that nobody reads any more count as used, but the system gives them up first.
    """
    try:
        limit, usage = ((group / name).read_text().strip() for name in (files.limit, files.usage))
        return None if limit == "max" else max(int(limit) - int(usage) + _reclaimable(group, files), 0)
    except (OSError, ValueError):
        return None


def _reclaimable(group: Path, files: GroupFiles) -> int:
    try:
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except OSError:
        return 0
    return next((int(stat[name]) for name in files.reclaimable if name in stat), 0)
