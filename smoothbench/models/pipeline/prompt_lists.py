"""The prompts of a pipeline: a list that comes with the project, a file, or a list in the configuration."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from smoothbench.models.base.prompts import Prompts

KEY: Final = "model.prompts"
INCLUDED: Final = {
    name: Path(__file__).parent / "prompts" / f"{name}.txt" for name in ("image", "video", "audio")
}
CAPTIONS: Final = ("prompt", "caption", "text")  # what the column of prompts may be called


def prompts_from(prompts: str | Sequence[str] | Prompts) -> Prompts:
    """Return the prompts that `model.prompts` names; ValueError, naming file and line, for those that are no good.

    It is image, video or audio, lists that come with the project; a text file with a prompt a line; a CSV file with a
    column prompt (or caption, text) and perhaps one of ids; a list of prompts; or a node for published layouts.
    """
    if isinstance(prompts, Prompts):
        return prompts
    if isinstance(prompts, str):
        path = INCLUDED.get(prompts, Path(prompts))
        if not _is_file(path):
            raise ValueError(
                f"{KEY}={prompts:.80}: no such file: give a text or CSV file, or one of {', '.join(INCLUDED)}"
            )
        return _csv(path) if path.suffix.lower() == ".csv" else Prompts(str(path))
    if not isinstance(prompts, Sequence) or not prompts:
        raise ValueError(f"{KEY} must be a file, a list of prompts, or one of {', '.join(INCLUDED)}")
    for number, prompt in enumerate(prompts):
        if not isinstance(prompt, str) or not prompt.strip():
            raise ValueError(f"{KEY}[{number}] must be a text, not {prompt!r:.60}")
    return Prompts.listed([prompt.strip() for prompt in prompts])


def _csv(path: Path) -> Prompts:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            columns = next(csv.reader(file), [])
    except UnicodeDecodeError:
        raise ValueError(f"{KEY}={path}: is not UTF-8: save it as UTF-8") from None
    except OSError as error:
        raise ValueError(f"{KEY}={path}: cannot be read ({error.strerror})") from None
    except csv.Error as error:
        raise ValueError(f"{KEY}={path}, line 1: no CSV ({error}): save it again") from None
    caption = next((name for name in CAPTIONS if name in columns), None)
    if caption is None:
        raise ValueError(
            f"{KEY}={path}, line 1: names no column {', '.join(CAPTIONS)}: name the column of prompts so"
        )
    return Prompts(str(path), layout="csv", id="id" if "id" in columns else caption, caption=caption)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a text that is too long for a path, as a prompt may be
        return False
