"""Two points of report.html side by side: samples of the seeds where caching fails, and their scores."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from smoothbench.report.data.frame import higher_is_better
from smoothbench.report.figures.contact_sheet import captions, with_previews
from smoothbench.report.page import data_uris
from smoothbench.report.page.media_kinds import KINDS, Kind, kinds_in
from smoothbench.report.tables.point_tables import fidelity, measured
from smoothbench.report.tables.two_points import influences

SEEDS = 24  # samples of a point, at most
BYTES = 500_000  # of all points' samples on a page, as data URIs
NAMED = 5  # worst seeds of a point that are named, of all
IMAGES = KINDS[0]
Values = dict[int, float]  # a score by seed


@dataclass(frozen=True)
class Sheets:
    """Pictures of the same seeds of each point, in tiles `across` or `down`; none where the page's strips serve.

    `pictures` are data URIs by sample_id; `origin` says in words where the samples come from.
    """

    seeds: Sequence[int]
    across: bool
    pictures: Mapping[str, str]
    origin: str


def side_by_side(number: int, frame: pd.DataFrame, folder: Path) -> dict[str, Any] | None:
    """Return the seeds, pictures and per-sample scores of a setting as data.

    None where no samples are shown, and where there are no two points.

    Each point has `values`, the first score of nearness of each shown seed, and `worst`, the seeds of all with the
    worst ones; both empty for the reference, and where there are no per-sample scores.
    """
    if len(measured(frame)) < 2:
        return None
    values, score = _values(frame, folder)
    higher = score is None or higher_is_better(frame, score)
    sheets = _from_samples(frame, folder, values, higher) or _from_previews(frame, folder)
    if sheets is None:
        return None
    points = []
    for _, row in measured(frame).iterrows():
        of_point = {} if row["reference"] else values.get(row["sample_id"], {})
        worst = sorted(of_point, key=lambda seed: of_point[seed], reverse=not higher)[:NAMED]
        points.append(
            {
                "sample": row["sample_id"],
                "strip": f"strip-{number}-{row['sample_id']}",
                "values": [_number(of_point.get(seed)) for seed in sheets.seeds] if of_point else [],
                "worst": [[seed, _number(of_point[seed])] for seed in worst],
            }
        )
    texts = captions(frame)
    return {
        "score": score,
        "higher": higher,
        "across": sheets.across,
        "seeds": list(sheets.seeds),
        "captions": [texts.get(seed, "") for seed in sheets.seeds],
        "sheets": dict(sheets.pictures),
        "points": points,
        "origin": sheets.origin,
    }


def side_by_side_html(number: int, pairs: Mapping[str, Any] | None) -> str:
    """Write the place that the script fills, with a note on where its samples come from; "" without samples."""
    if pairs is None:
        return ""
    return (
        f'<h3 id="compare-{number}">Two points side by side: where does caching fail?</h3>'
        f'<p class="note">{escape(pairs["origin"])}</p>'
        f'<div class="compare" data-part="{number}" hidden></div>'
    )


def _values(frame: pd.DataFrame, folder: Path) -> tuple[dict[str, Values], str | None]:
    """The first score of nearness of each sample, by sample_id and seed, and its name; None without any."""
    score, by_sample = next(iter(fidelity(frame)), None), {}
    for _, row in measured(frame).iterrows() if score else ():
        if math.isnan(row[score]):
            continue
        try:
            arrays = influences(folder, row)
        except ValueError:  # the verdict says that they are not there
            continue
        if score in arrays:
            numbers: NDArray[np.float64] = row[score] + arrays[score]
            by_sample[row["sample_id"]] = dict(
                zip(arrays["seeds"].astype(int).tolist(), numbers, strict=True)
            )
    return by_sample, score if by_sample else None


def _from_samples(
    frame: pd.DataFrame, folder: Path, values: Mapping[str, Values], higher: bool
) -> Sheets | None:
    """Pictures of the samples that the run kept, the worst seeds of every point in turns; None where it kept none."""
    files = {name: _files(folder / "samples" / name) for name in dict.fromkeys(frame["sample_id"])}
    files = {name: paths for name, paths in files.items() if paths}
    shared = set.intersection(*map(set, files.values())) if files else set()
    if len(files) < 2 or not shared or not values:
        return None
    turns = list(dict.fromkeys(_in_turns(values, shared, higher)))
    for count in (SEEDS, SEEDS // 2, SEEDS // 4):
        seeds = turns[:count]
        pictures = {name: data_uris.sheet([paths[seed] for seed in seeds]) for name, paths in files.items()}
        if sum(map(len, pictures.values())) <= BYTES:
            break
    origin = (
        f"The {len(seeds)} seeds on which points are furthest from the reference's samples, the worst of every point"
        f" in turns, of the {len(shared)} whose samples lie beside this report."
    )
    return Sheets(seeds, True, pictures, origin)


def _files(folder: Path) -> dict[int, Path]:
    paths = folder.glob(f"*{IMAGES.suffix}")
    return {int(path.stem): path for path in paths if path.stem.isdigit()}


def _in_turns(values: Mapping[str, Values], shared: set[int], higher: bool) -> Iterator[int]:
    """The worst seed of every point, then the second ones, and so on."""
    ordered = [
        sorted((seed for seed in of_point if seed in shared), key=of_point.__getitem__, reverse=not higher)
        for of_point in values.values()
    ]
    for of_rank in zip_longest(*(seeds[:SEEDS] for seeds in ordered)):
        yield from (seed for seed in of_rank if seed is not None)


def _from_previews(frame: pd.DataFrame, folder: Path) -> Sheets | None:
    """The strips that the page shows anyway; None where there are no previews."""
    for kind in kinds_in(frame, folder / "previews"):
        previewed = with_previews(frame, folder / "previews", kind.suffix)
        seeds = {tuple(int(path.stem) for path in paths[: kind.in_strip]) for _, paths in previewed}
        if len(seeds) == 1:
            return Sheets(seeds.pop(), kind.across, {}, _origin(kind, frame))
    return None


def _origin(kind: Kind, frame: pd.DataFrame) -> str:
    total = int(frame["num_samples"].iloc[0])
    why = "The samples do not lie beside this report: these are the first seeds, of which there are previews."
    if kind is not IMAGES:
        why = "These are the first seeds, of which there are previews."
    return f"{why} The worst of all {total} seeds are named; a run with keep_samples=true has them."


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(f"{value:.5g}")
