"""The samples of every policy in report.html: images or spectrograms in strips, and players for clips."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

import pandas as pd

from smoothbench.report import embedded
from smoothbench.report.sheets import with_previews
from smoothbench.report.spectrograms import RANGE, SUFFIX, loudest

SEEDS = 3  # players of a policy, at most
BUDGET = 12 * 2**20  # bytes of a setting's clips: the page has to open, and takes a third more
IMAGES = "The same seeds from every policy; points with the same samples share a strip."
CLIPS = (
    "Log-mel spectrograms of the same seeds from every policy: time across, high tones above, "
    f"{RANGE:.0f} dB under the reference's loudest are black; points with the same samples share a strip."
)
PLAYED = "The first seeds of every policy, as generated; points with the same samples share a row."
Clips = list[tuple[pd.DataFrame, list[Path]]]


def strips(number: int, frame: pd.DataFrame, folder: Path) -> dict[str, tuple[str, list[str]]]:
    """Picture and labels of each set of samples by the id of its element."""
    found: dict[str, tuple[str, list[str]]] = {}
    clips = with_previews(frame, folder / "previews", SUFFIX)
    top = loudest(frame, folder / "previews") if clips else 0.0
    for rows, paths in clips:
        found[_id("strip", number, rows)] = (embedded.spectra(paths[:SEEDS], top), list(rows["label"]))
    for sample_id, rows in frame.groupby("sample_id", sort=False):
        image = embedded.strip(folder / "previews" / str(sample_id))
        if image is not None:
            found[_id("strip", number, rows)] = (image, list(rows["label"]))
    return found


def note(frame: pd.DataFrame, folder: Path) -> str:
    """What the strips show."""
    return CLIPS if with_previews(frame, folder / "previews", SUFFIX) else IMAGES


def players(number: int, frame: pd.DataFrame, folder: Path) -> str:
    """A table of players, policies by seeds; nothing where the samples are no clips.

    As many seeds as keep the page small, perhaps none.
    """
    kept = with_previews(frame, folder / "previews", SUFFIX)
    if not kept:
        return ""
    shown = _affordable(kept)
    seeds = sorted({path.stem for _, paths in shown for path in paths})
    if not seeds:
        return '<h3>Clips</h3><p class="note">Too large for this page: they lie beside it in previews/.</p>'
    heads = "".join(f'<th scope="col">seed {int(seed)}</th>' for seed in seeds)
    rows = "\n".join(_row(number, part, paths, seeds) for part, paths in shown)
    region = '<div class="scroll" tabindex="0" role="region" aria-label="Clips">'
    head = f'<thead><tr><th scope="col">policy</th>{heads}</tr></thead>'
    table = f'<table class="clips">{head}\n<tbody>\n{rows}\n</tbody></table>'
    return f'<h3>Clips</h3><p class="note">{PLAYED}</p>{region}{table}</div>'


def clips_id(number: int, sample_id: str) -> str:
    """The id of the row whose players are of these samples."""
    return f"clips-{number}-{sample_id}"


def _id(kind: str, number: int, rows: pd.DataFrame) -> str:
    return f"{kind}-{number}-{rows['sample_id'].iloc[0]}"


def _affordable(kept: Clips) -> Clips:
    """The first seeds of every policy, as many as the budget allows."""
    for count in range(SEEDS, 0, -1):
        chosen = [(part, paths[:count]) for part, paths in kept]
        if sum(path.stat().st_size for _, paths in chosen for path in paths) <= BUDGET:
            return chosen
    return []


def _row(number: int, part: pd.DataFrame, paths: Sequence[Path], seeds: Sequence[str]) -> str:
    label = escape(" = ".join(dict.fromkeys(part["label"])))
    files = {path.stem: path for path in paths}
    cells = "".join(f"<td>{_player(files[seed], label) if seed in files else ''}</td>" for seed in seeds)
    name = escape(clips_id(number, str(part["sample_id"].iloc[0])))
    return f'<tr id="{name}"><th scope="row">{label}</th>{cells}</tr>'


def _player(path: Path, label: str) -> str:
    about = f'aria-label="seed {int(path.stem)} of {label}"'
    return f'<audio controls preload="none" {about} src="{embedded.clip(path)}"></audio>'
