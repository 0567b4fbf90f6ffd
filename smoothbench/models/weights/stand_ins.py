"""Recognise, by their first bytes, files that hold no weights: pointers, truncated files, pages and messages."""

import json
import re
from pathlib import Path
from typing import Final

from smoothbench.errors import distinct

AGAIN: Final = "download or save it again"
HEAD: Final = 512  # bytes from which a file is recognised
POINTER: Final = b"version https://git-lfs"
LONGEST: Final = 100_000_000  # bytes of a safetensors file's header: no reader takes more
UNITS: Final = (("GB", 10**9), ("MB", 10**6), ("kB", 10**3), ("bytes", 1))
PICKLED: Final = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def stand_in(path: Path) -> str | None:
    """Say what a file is if it cannot hold the weights that its name promises, and the way out; None: it may."""
    size, safe = path.stat().st_size, path.suffix == ".safetensors"
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not head:
        return f"an empty file: {AGAIN}"
    if head.startswith(POINTER):
        return f"a git-LFS pointer{_pointed(head)}, not the weights: git lfs pull, or {AGAIN}"
    if head.startswith(b"GGUF"):
        return "a GGUF file, which no loader here reads: give safetensors"
    if text := _text(head):
        return f"text ({text!r}), not weights: {AGAIN}"
    if not safe and head[8:10] == b'{"' and int.from_bytes(head[:8], "little") < LONGEST:
        return "a safetensors file by another name: rename it to *.safetensors"
    if safe and head.startswith(PICKLED):
        return "a PyTorch checkpoint by another name: rename it to *.bin"
    return _cut(path, size) if safe else None


def _pointed(head: bytes) -> str:
    size = re.search(rb"^size (\d+)$", head, re.MULTILINE)
    return f" to {_sized(int(size[1]))}" if size else ""


def _text(head: bytes) -> str | None:
    """The first words of a page, a message or a configuration; None for bytes."""
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # an invalid byte, not a character that is cut at the end of the head
            return None
        text = head[: error.start].decode()
    plain = all(character.isprintable() or character.isspace() for character in text)
    return " ".join(text.split())[:40] if plain else None


def _cut(path: Path, size: int) -> str | None:
    """How much of a safetensors file is here, where its header promises more."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > LONGEST:
            return None  # no header, which the reader reports
        needed = 8 + length
        if needed <= size:
            needed += _promised(file.read(length))
    if size >= needed:
        return None
    return f"half-downloaded, {_sized(size, needed)}: {AGAIN}"


def _sized(*counts: int) -> str:
    """Format sizes in bytes as `one of another`, in the unit that suits the largest."""
    unit, factor = next((each for each in UNITS if max(counts) >= each[1]), UNITS[-1])
    return f"{' of '.join(distinct(*(count / factor for count in counts), digits=int(factor > 1)))} {unit}"


def _promised(header: bytes) -> int:
    """The size in bytes of all tensors; 0 where the header is damaged, which the reader reports."""
    try:
        entries = json.loads(header)
        return max(each["data_offsets"][1] for name, each in entries.items() if name != "__metadata__")
    except (ValueError, LookupError, TypeError, AttributeError):
        return 0
