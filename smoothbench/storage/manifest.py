"""The manifest of a set of samples: a line of JSON for each batch, added when the batch is done."""

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from smoothbench.storage.files import read_json, write_atomic

FILE: Final = "manifest.jsonl"
OLD_FILE: Final = "manifest.json"  # of versions that wrote all of it anew after each batch
OLD_SCHEMA: Final = 1
KEY: Final = re.compile(r"[0-9]{9,12}\+[1-9][0-9]{0,5}", re.ASCII)  # of a batch's calls

Batch = Sequence[int]  # of seeds, one after the other
Calls = Mapping[str, float]  # at how many evaluations each site was computed, by its name


class Manifest:
    """The sha256 of each sample by its seed, and the calls of each batch, of one `sample_id`.

    A line holds the first seed of its batch, the sha256 of each of its samples and, where no schedule decides them,
    its calls. Later lines count; a line that cannot be read, like the last one of a process that was killed while
    it wrote, does not. After `close` the lines are those of the batches in order, so that a run that was killed and
    went on leaves the same bytes as one that was not.
    """

    def __init__(self, folder: Path, sample_id: str, suffix: str) -> None:
        self.folder, self.sample_id = folder, sample_id
        self.digests: dict[int, str] = {}
        self.calls: dict[str, Calls] = {}
        self._as_written = self._read_old(suffix)
        self._as_written &= self._read()

    def digests_of(self, seeds: Batch) -> list[str] | None:
        """Return the sha256 of all of these samples; None where one is not known."""
        known = [self.digests[seed] for seed in seeds if seed in self.digests]
        return known if len(known) == len(seeds) else None

    def calls_of(self, batch: Batch) -> Calls:
        """Return the calls of a batch; empty where they are not known."""
        return self.calls.get(_key(batch), {})

    def add(self, batch: Batch, digests: Sequence[str], calls: Calls | None) -> None:
        """Add a batch that is done: one line, whatever the number of batches before it.

        What cannot be read in the file, or was forgotten, leaves it first.
        """
        if not self._as_written:
            self._write(self._known())
        self._take(batch, digests, calls)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._as_written = False  # until all of the line is there: a full disk may cut it
        with (self.folder / FILE).open("ab") as file:
            file.write(_line(self.sample_id, batch[0], digests, calls))
            file.flush()
            os.fsync(file.fileno())
        self._as_written = True

    def close(self, batches: Iterable[Batch]) -> None:
        """Bring the lines of a set whose batches are all known into the order of the batches, where they are not."""
        lines = b"".join(
            _line(
                self.sample_id, batch[0], [self.digests[seed] for seed in batch], self.calls.get(_key(batch))
            )
            for batch in batches
        )
        if (self.folder / OLD_FILE).exists() or _bytes(self.folder / FILE) != lines:
            self._write(lines)

    def forget(self) -> None:
        """Know no sample and no calls any more."""
        self.digests, self.calls, self._as_written = {}, {}, False

    def _write(self, lines: bytes) -> None:
        """Write all lines anew, and drop the file of an earlier version, which they replace."""
        write_atomic(self.folder / FILE, lines)
        (self.folder / OLD_FILE).unlink(missing_ok=True)
        self._as_written = True

    def _known(self) -> bytes:
        """Lines of all that is known: of the batches with calls first, then of every other sample."""
        lines, left = [], dict(sorted(self.digests.items()))
        for key, counts in sorted(self.calls.items()):
            first, size = map(int, key.split("+"))
            if digests := self.digests_of(range(first, first + size)):
                lines.append(_line(self.sample_id, first, digests, counts))
                for seed in range(first, first + size):
                    left.pop(seed, None)
        lines += [_line(self.sample_id, seed, [digest], None) for seed, digest in left.items()]
        return b"".join(lines)

    def _take(self, batch: Batch, digests: Sequence[str], calls: Calls | None) -> None:
        self.digests |= dict(zip(batch, digests, strict=True))
        if calls is not None:
            self.calls[_key(batch)] = dict(calls)

    def _read(self) -> bool:
        """Read the lines; whether all of them can be read."""
        data = _bytes(self.folder / FILE)
        lines = [_parsed(line, self.sample_id) for line in data.splitlines()]
        for line in lines:
            if line is not None:
                self._take(*line)
        return None not in lines and (data == b"" or data.endswith(b"\n"))

    def _read_old(self, suffix: str) -> bool:
        """Read the file of an earlier version; whether there is none."""
        old = read_json(self.folder / OLD_FILE)
        if (
            isinstance(old, dict)
            and old.get("schema") == OLD_SCHEMA
            and old.get("sample_id") == self.sample_id
        ):
            files, calls = old.get("files"), old.get("calls", {})
            if isinstance(files, dict) and isinstance(calls, dict):
                self.digests = {
                    int(name.removesuffix(suffix)): digest
                    for name, digest in files.items()
                    if _digest(digest) and name.endswith(suffix) and _decimal(name.removesuffix(suffix))
                }
                self.calls = {
                    key: each for key, each in calls.items() if KEY.fullmatch(key) and _counts(each)
                }
        return not (self.folder / OLD_FILE).exists()


def _line(sample_id: str, first: int, digests: Sequence[str], calls: Calls | None) -> bytes:
    content: dict[str, Any] = {"sample_id": sample_id, "first": first, "sha256": list(digests)}
    if calls is not None:
        content["calls"] = dict(calls)
    return json.dumps(content, sort_keys=True, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def _parsed(line: bytes, sample_id: str) -> tuple[Batch, Sequence[str], Calls | None] | None:
    """A line's batch, sha256 and calls; None where it is damaged, or of other samples."""
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or content.get("sample_id") != sample_id:
        return None
    first, digests, calls = content.get("first"), content.get("sha256"), content.get("calls")
    if type(first) is not int or not 0 <= first < 10**12 or not isinstance(digests, list) or not digests:
        return None
    if not all(map(_digest, digests)) or not (calls is None or _counts(calls)):
        return None
    return range(first, first + len(digests)), digests, calls


def _digest(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 64


def _counts(calls: Any) -> bool:
    counts = calls.values() if isinstance(calls, dict) else ()
    return bool(counts) and all(type(count) in (int, float) and 0 <= count < 10**6 for count in counts)


def _decimal(name: str) -> bool:
    return name.isascii() and name.isdecimal() and len(name) <= 12


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _key(batch: Batch) -> str:
    """A batch by its first seed and its size: another partition is another batch."""
    return f"{batch[0]:09d}+{len(batch)}"
