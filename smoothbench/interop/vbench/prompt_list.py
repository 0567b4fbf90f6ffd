"""VBench's list of prompts, and in which folders it looks for their videos."""

import json
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from smoothbench.errors import UsageError
from smoothbench.interop.vbench.totals import DIMENSIONS
from smoothbench.json_checks import explain, require

FOLDERS: Final = MappingProxyType(  # of dimensions whose videos are another's; the others have their own
    {
        "background_consistency": "scene",
        "aesthetic_quality": "overall_consistency",
        "imaging_quality": "overall_consistency",
        "motion_smoothness": "subject_consistency",
        "dynamic_degree": "subject_consistency",
    }
)
LONGEST: Final = 255  # bytes of a file's name


@dataclass(frozen=True)
class Entry:
    """A prompt as VBench spells it, and the folders of its dimensions."""

    prompt: str
    folders: tuple[str, ...]


def read_listing(path: Path) -> dict[str, Entry]:
    """Read the entries of VBench_full_info.json by their prompts, see `spelled`.

    Raises UsageError, naming the file, for one that cannot be read, of another version, and for a prompt
    that is empty or can be no file's name.
    """
    entries: dict[str, Entry] = {}
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        for item in require(content, "content", list):
            prompt = require(require(item, "entry", dict)["prompt_en"], "prompt_en", str)
            folders = [_folder(name) for name in require(item["dimension"], "dimension", list)]
            old = entries.get(spelled(prompt), Entry(prompt, ()))
            entries[spelled(prompt)] = Entry(prompt, tuple(dict.fromkeys((*old.folders, *folders))))
            _check_name(prompt)
    except (OSError, ValueError, KeyError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or explain(error)
        raise UsageError(
            f"{path}: no list of VBench's prompts ({reason}): give its VBench_full_info.json"
        ) from None
    return entries


def spelled(prompt: str) -> str:
    """Return a prompt without the blanks that lists of prompts lose."""
    return " ".join(prompt.split())


def _folder(dimension: Any) -> str:
    if dimension not in DIMENSIONS:
        raise ValueError(f"it has a dimension {str(dimension)[:40]!r}, not of VBench 1")
    return FOLDERS.get(dimension, dimension)


def _check_name(prompt: str) -> None:
    if not spelled(prompt):
        raise ValueError("one of its prompts is empty")
    if "/" in prompt or "\0" in prompt or len(f"{prompt}-00.mp4".encode()) > LONGEST:
        raise ValueError(f"its prompt {prompt[:60]!r} can be no file's name")
