"""The file system that a folder lies on, and whether its file locks reach the other machines that see it."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

# where Linux lists what is mounted
MOUNTS: Final = Path("/proc/self/mountinfo")
# a setting of BeeGFS's client
GLOBAL: Final = "tuneUseGlobalFileLocks"


@dataclass(frozen=True)
class Mount:
    """A mounted file system: where, of which kind, and its options by name; a bare option has an empty value."""

    point: Path
    kind: str
    options: dict[str, str]

    @classmethod
    def in_line(cls, line: str) -> Self:
        """Read a line of mountinfo, of which the fields after a lone hyphen are those of the file system itself."""
        mounted, _, system = line.partition(" - ")
        (point, options), (kind, *_, more) = mounted.split()[4:6], system.split()
        names = (option.partition("=") for option in f"{options},{more}".split(","))
        return cls(Path(_plain(point)), kind, {name: _plain(value) for name, _, value in names})

    def local_locks(self) -> str | None:
        """Say why file locks keep out processes of this machine alone; None where nothing tells of it."""
        if self.kind == "beegfs" and not self._has_global_locks():
            return f"{GLOBAL} is not set"
        if self.kind == "lustre" and "flock" not in self.options:
            return "mounted with localflock" if "localflock" in self.options else "mounted without flock"
        if self.kind in ("nfs", "nfs4"):
            if (scope := self.options.get("local_lock")) in ("flock", "all"):
                return f"mounted with local_lock={scope}"
            return "mounted with nolock" if "nolock" in self.options else None
        return None

    def _has_global_locks(self) -> bool:
        """Whether the settings of BeeGFS's client, which no option of the mount repeats, make locks global."""
        try:
            text = Path(self.options.get("cfgFile", "/etc/beegfs/beegfs-client.conf")).read_text()
        except (OSError, ValueError):
            return False
        values = re.findall(rf"^\s*{GLOBAL}\s*=\s*(\w+)", text, re.MULTILINE)
        return bool(values) and values[-1].lower() in ("true", "1", "yes", "on")


def mount_of(folder: Path) -> Mount | None:
    """Return what a folder lies on; None where the system does not say."""
    try:
        mounts = [Mount.in_line(line) for line in MOUNTS.read_text().splitlines()]
    except (OSError, ValueError):
        return None
    place = folder.resolve()
    around = [mount for mount in mounts if place.is_relative_to(mount.point)]
    # of several at one place the last covers the others
    return max(reversed(around), key=lambda mount: len(mount.point.parts), default=None)


def _plain(text: str) -> str:
    """A name as it is, of which mountinfo writes blanks and backslashes in octal digits."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
