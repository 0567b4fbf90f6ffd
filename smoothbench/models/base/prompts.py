"""Reads lists of prompts from files: one a line, or the CSV layouts that data sets are published in."""

import csv
import hashlib
import io
import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from smoothbench.protocols import BLOCK

log = logging.getLogger(__name__)

CALIBRATION_BLOCKS = (
    900  # seed blocks from here on are for calibration and training, with prompts of their own
)
SHARE = 10  # one in so many prompts is reserved for them if there is no calibration list


Entry = tuple[str, str]  # the id of a prompt, and its text


@dataclass(frozen=True)
class Layout:
    """The columns that a CSV file must have, and which of them hold a prompt and its id."""

    columns: tuple[str, ...]
    id: str
    caption: str = "caption"


LAYOUTS: Final = {
    "audiocaps": Layout(("audiocap_id", "youtube_id", "start_time", "caption"), "audiocap_id"),
    "musiccaps": Layout(("ytid", "caption"), "ytid"),
    "song_describer": Layout(("caption_id", "track_id", "caption"), "caption_id"),
    "csv": Layout(("id", "caption"), "id"),
}


class Prompts:
    """A list of prompts in the order of a file, each with an id.

    `layout`: lines (text, a prompt a line; its number from 1 is its id), vbench (its VBench_full_info.json),
    csv (columns id and caption), or audiocaps, musiccaps, song_describer: CSV as these are published. `id` and
    `caption` name other columns than the layout's. `subset` is a file of ids, one a line, to which the list is
    cut (no-singing subsets).
    `calibration` is the list from which seed blocks from 900 on take their prompts; null: the last tenth
    of this one, and what has the same text. A `file` of null is an empty list: every sample is unconditional. Raises
    ValueError, naming the file, for one that does not exist or cannot be read, has no prompt, lacks a column or
    a caption, or repeats a column or an id, and for a calibration list without a `file`, or all of whose prompts (by
    text, or by id in a CSV of the same layout) are in this list too.
    """

    def __init__(
        self,
        file: str | None,
        layout: str = "lines",
        id: str | None = None,
        caption: str | None = None,
        subset: str | None = None,
        calibration: "Prompts | None" = None,
    ) -> None:
        if layout not in ("lines", "vbench", *LAYOUTS):
            raise ValueError(f"prompts.layout must be lines, vbench, {', '.join(LAYOUTS)}, not {layout}")
        entries = _entries(file, layout, id, caption)
        if subset is not None:
            entries = _cut(entries, Path(subset), str(file))
        self.file, self._kind = file, (layout, id)
        self._take(entries, calibration)

    @classmethod
    def listed(cls, texts: Sequence[str]) -> "Prompts":
        """Return a list of these prompts, whose numbers from 1 are their ids."""
        prompts = cls(None)
        prompts._take([(str(number), text) for number, text in enumerate(texts, 1)], None)
        return prompts

    def _take(self, entries: list[tuple[str, str]], calibration: "Prompts | None") -> None:
        calibrating = (
            self._apart(entries, calibration) if calibration is not None and calibration.texts else []
        )
        if not calibrating:
            entries, calibrating = _held_out(entries)
        self.count = len(entries)
        entries += calibrating
        self.ids: tuple[str, ...] = tuple(identifier for identifier, _ in entries)
        self.texts: tuple[str, ...] = tuple(text for _, text in entries)

    def numbers(self, seeds: Sequence[int]) -> Tensor:
        """Return the prompt number of each seed, the seed modulo the prompts of its list, int64 [N]; -1: none."""
        return torch.tensor([self._number(seed) for seed in seeds], dtype=torch.long)

    def captions(self, seeds: Sequence[int]) -> list[str]:
        """Return the prompt of each seed."""
        return [self.texts[number] for number in self.numbers(seeds).tolist()]

    def digest(self) -> str:
        """Return the sha256 of all prompts and ids, and of how many are not reserved for calibration."""
        content = json.dumps([self.count, self.ids, self.texts])
        return hashlib.sha256(content.encode()).hexdigest()

    def _apart(self, entries: list[tuple[str, str]], calibration: "Prompts") -> list[tuple[str, str]]:
        """The prompts that calibrate and are not evaluated on; ValueError for none."""
        if not entries:
            raise ValueError(
                f"prompts {calibration.file}: calibrates, but there is no list to draw from: set prompts.file"
            )
        ids, texts = ({entry[column] for entry in entries} for column in (0, 1))
        same = self._kind == calibration._kind and self._kind[0] in LAYOUTS
        candidates = list(zip(calibration.ids, calibration.texts, strict=True))
        left = [entry for entry in candidates if entry[1] not in texts and not (same and entry[0] in ids)]
        if not left:
            raise ValueError(
                f"prompts {calibration.file}: all of its {len(candidates)} prompts are in {self.file} too: "
                "calibrate on others, or on none (then the last tenth of that list is kept for it)"
            )
        if shared := len(candidates) - len(left):
            counts = (calibration.file, shared, len(candidates), self.file)
            log.info("prompts %s: %d of %d do not calibrate, as %s has them too", *counts)
        return left

    def _number(self, seed: int) -> int:
        calibrating = len(self.texts) - self.count
        if not self.texts:
            return -1
        if seed < CALIBRATION_BLOCKS * BLOCK or not calibrating:
            return seed % self.count
        return self.count + seed % calibrating


def _held_out(entries: list[Entry]) -> tuple[list[Entry], list[Entry]]:
    """Split off the last tenth, with all entries of the same texts before it; nothing where all texts are the same."""
    reserved = min(len(entries) - 1, -(-len(entries) // SHARE))
    held_texts = {text for _, text in entries[len(entries) - reserved :]} if reserved > 0 else set()
    evaluated = [entry for entry in entries if entry[1] not in held_texts]
    if held_texts and not evaluated:
        log.warning("prompts: all %d are the same, so what calibrates is evaluated on too", len(entries))
        return entries, []
    return evaluated, [entry for entry in entries if entry[1] in held_texts]


def check_prompts(prompts: object) -> None:
    """Raise ValueError where `model.prompts` was not built into a list of prompts."""
    if not isinstance(prompts, Prompts):
        raise ValueError(
            f"model.prompts must be a node with a _target_, not {prompts!r:.60}: set prompts.file"
        )


def _entries(file: str | None, layout: str, id: str | None, caption: str | None) -> list[tuple[str, str]]:
    if file is None:
        return []
    path = Path(file)
    if layout == "lines":
        entries = [(str(number), line) for number, line in enumerate(_lines(path), 1) if line]
    elif layout == "vbench":
        entries = _vbench(path)
    else:
        entries = list(_table(path, LAYOUTS[layout], id, caption))
    if not entries:
        raise ValueError(
            f"prompts {path}: no prompt is in it: give one a line, or a CSV file with prompts.layout"
        )
    return entries


def _vbench(path: Path) -> list[tuple[str, str]]:
    """The prompts of VBench_full_info.json, each once, which names some for several dimensions."""
    text = _text(path)
    try:
        prompts = [" ".join(each["prompt_en"].split()) for each in json.loads(text)]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise ValueError(f"prompts {path}: no list of VBench's: give its VBench_full_info.json") from None
    if "" in prompts:
        raise ValueError(f"prompts {path}: entry {prompts.index('') + 1} has an empty prompt_en: fill it in")
    return [(str(number), prompt) for number, prompt in enumerate(dict.fromkeys(prompts), 1)]


def _lines(path: Path) -> list[str]:
    return [line.strip() for line in _text(path).split("\n")]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ValueError(f"prompts {path}: cannot be read ({error.strerror}): set prompts.file") from None
    except UnicodeDecodeError:
        raise ValueError(f"prompts {path}: is not UTF-8: save it as UTF-8") from None


def _table(path: Path, layout: Layout, id: str | None, caption: str | None) -> Iterable[tuple[str, str]]:
    """Ids and captions of a CSV file, in its order."""
    reader = csv.DictReader(io.StringIO(_text(path), newline=""), strict=True)
    key, text_column = id or layout.id, caption or layout.caption
    renamed = {layout.id: key, layout.caption: text_column}
    columns = [renamed.get(column, column) for column in layout.columns]
    try:
        named = list(reader.fieldnames or ())
        if twice := [column for column in named if named.count(column) > 1]:
            raise ValueError(f"prompts {path}: has the column {twice[0]:.60} twice: rename or drop one")
        if absent := [column for column in columns if column not in named]:
            raise ValueError(
                f"prompts {path}: lacks the column {absent[0]}: it must have {', '.join(columns)}"
            )
        ids: set[str] = set()
        for entry in reader:
            here = f"prompts {path}, line {reader.line_num}"
            if None in entry:  # DictReader's key for surplus columns
                raise ValueError(
                    f"{here}: has more cells than the header's {len(named)}: put captions with commas in quotes"
                )
            identifier, text = (entry[key] or "").strip(), " ".join((entry[text_column] or "").split())
            if not identifier or not text:
                raise ValueError(
                    f"{here}: an empty {text_column if identifier else key}: fill it in, or drop the line"
                )
            if identifier in ids:
                raise ValueError(f"{here}: {key} {identifier:.60} is there twice: each id must be another")
            ids.add(identifier)
            yield identifier, text
    except csv.Error as error:
        raise ValueError(f"prompts {path}, line {reader.line_num}: no CSV ({error}): save it again") from None


def _cut(entries: list[tuple[str, str]], path: Path, file: str) -> list[tuple[str, str]]:
    """The prompts whose ids a file lists, in the list's own order."""
    ids = {line for line in _lines(path) if line}
    if unknown := ids - {identifier for identifier, _ in entries}:
        raise ValueError(f"prompts {path}: {min(unknown):.60} is no id of {file}: set prompts.subset")
    if not ids:
        raise ValueError(f"prompts {path}: no id is in it: give one a line")
    return [entry for entry in entries if entry[0] in ids]
