"""The samples of every policy in report.html: images, spectrograms or frames in strips, and players for clips."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import pandas as pd

from smoothbench.report.figures.contact_sheet import captions, with_previews
from smoothbench.report.page.media_kinds import KINDS, Kind, kinds_in

BUDGET = 12 * 2**20  # bytes of a setting's clips: the page has to open, and takes a third more
PLAYED = "The first seeds of every policy, as generated; points with the same samples share a row."
Clips = list[tuple[pd.DataFrame, list[Path]]]


def strips(number: int, frame: pd.DataFrame, folder: Path) -> dict[str, tuple[str, list[str]]]:
    """Return picture and labels of each set of samples by the id of its element."""
    strips_by_id: dict[str, tuple[str, list[str]]] = {}
    previews = folder / "previews"
    for kind in kinds_in(frame, previews):
        strip = kind.strip(frame, previews)
        for rows, paths in with_previews(frame, previews, kind.suffix):
            strips_by_id[_id("strip", number, rows)] = (strip(paths), list(rows["label"]))
    return strips_by_id


def note(frame: pd.DataFrame, folder: Path) -> str:
    """Say what the strips show."""
    return " ".join(kind.note for kind in kinds_in(frame, folder / "previews"))


def players(number: int, frame: pd.DataFrame, folder: Path) -> str:
    """Write a table of players, policies by seeds; nothing where the samples are no clips.

    As many seeds as keep the page small, perhaps none.
    """
    return "\n".join(_players(number, frame, folder, kind) for kind in KINDS if kind.player)


def clips_id(number: int, sample_id: str) -> str:
    """Return the id of the row whose players are of these samples."""
    return f"clips-{number}-{sample_id}"


def _id(kind: str, number: int, rows: pd.DataFrame) -> str:
    return f"{kind}-{number}-{rows['sample_id'].iloc[0]}"


def _players(number: int, frame: pd.DataFrame, folder: Path, kind: Kind) -> str:
    clips = with_previews(frame, folder / "previews", kind.suffix)
    if not clips:
        return ""
    shown = _affordable(clips, kind.played)
    seeds = sorted({path.stem for _, paths in shown for path in paths})
    if not seeds:
        return '<h3>Clips</h3><p class="note">Too large for this page: they lie beside it in previews/.</p>'
    heads = "".join(_head(int(seed), captions(frame)) for seed in seeds)
    rows = "\n".join(_row(number, part, paths, seeds, kind) for part, paths in shown)
    region = '<div class="scroll" tabindex="0" role="region" aria-label="Clips">'
    head = f'<thead><tr><th scope="col">policy</th>{heads}</tr></thead>'
    table = f'<table class="clips">{head}\n<tbody>\n{rows}\n</tbody></table>'
    return f'<h3>Clips</h3><p class="note">{PLAYED}</p>{kind.control}{region}{table}</div>'


def _affordable(clips: Clips, most: int) -> Clips:
    """The first seeds of every policy, as many as the budget allows."""
    for count in range(most, 0, -1):
        chosen = [(part, paths[:count]) for part, paths in clips]
        if sum(path.stat().st_size for _, paths in chosen for path in paths) <= BUDGET:
            return chosen
    return []


def _head(seed: int, texts: Mapping[int, str]) -> str:
    caption = f"<small>{escape(texts[seed])}</small>" if seed in texts else ""
    return f'<th scope="col">seed {seed}{caption}</th>'


def _row(number: int, part: pd.DataFrame, paths: Sequence[Path], seeds: Sequence[str], kind: Kind) -> str:
    label = escape(" = ".join(dict.fromkeys(part["label"])))
    files = {path.stem: path for path in paths}
    cells = "".join(
        f"<td>{_player(files[seed], label, kind) if seed in files else ''}</td>" for seed in seeds
    )
    name = escape(clips_id(number, str(part["sample_id"].iloc[0])))
    share = part["share"].iloc[0]
    cost = "" if math.isnan(share) else f"<small>{100 * share:.0f} % of MACs</small>"
    return f'<tr id="{name}"><th scope="row">{label}{cost}</th>{cells}</tr>'


def _player(path: Path, label: str, kind: Kind) -> str:
    assert kind.player is not None
    return kind.player(path, f"seed {int(path.stem)} of {label}")
