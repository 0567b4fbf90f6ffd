"""What a process remembers of files that it has hashed: a file is read again only where it has changed."""

import hashlib
from collections.abc import Callable
from pathlib import Path

Stamp = tuple[int, int, int, int]  # of a file: its device and number there, its bytes, when it was written


class DigestMemory:
    """The sha256 of samples by the file that they lie in, and by their seed, for as long as the file stays the same.

    A file is known by its place on the disk, its size and its time, so that a hard link to it is the same file, and one
    that replaced it another.
    """

    def __init__(self) -> None:
        self._digests: dict[Stamp, dict[int, bytes]] = {}

    def sha256(self, path: Path, seed: int, read: Callable[[], bytes | None]) -> str | None:
        """Return the hex sha256 of the sample that `read` gives of a file; None where it gives none, or no file is.

        A sample that cannot be read (b"") is read again the next time.
        """
        try:
            status = path.stat()
        except FileNotFoundError:
            return None
        stamp = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
        digests = self._digests.setdefault(stamp, {})
        if seed not in digests:
            data = read()
            if not data:
                return None if data is None else hashlib.sha256(data).hexdigest()
            digests[seed] = hashlib.sha256(data).digest()
        return digests[seed].hex()
