"""Read a schedule's file: against the denoiser that it is for, or as it stands where none is given."""

import json
import re
import warnings
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from smoothbench.caching import Schedule, Site, saved_sites
from smoothbench.caching.fingerprint import DENOISER as PLANNED_ON
from smoothbench.caching.fingerprint import fingerprint
from smoothbench.caching.json_objects import unique_keys
from smoothbench.caching.schedule_json import META, WEIGHTS, canonical
from smoothbench.caching.sites import DENOISER, SPAN
from smoothbench.errors import UsageError
from smoothbench.interop.schedules.request import ALL_OTHERS, PREDICTORS, REUSE

KEY = re.compile(r"([a-z_0-9]+)(?:-(\d{1,4}))?")
RANGE = re.compile(rf"{SPAN}-(\d{{1,4}})-(\d{{1,4}})")


@dataclass(frozen=True)
class Saved:
    """A schedule's file: `predictor` is the one whose weights it holds, None where they are weights of its own."""

    schedule: Schedule
    sites: tuple[Site, ...]
    predictor: str | None = REUSE

    @property
    def forwards(self) -> int | None:
        """How many forwards an evaluation takes, where the file says it."""
        forwards = self.schedule.meta.get("forwards")
        return forwards if type(forwards) is int and forwards in (1, 2) else None


def read(path: Path, denoiser: nn.Module | None = None) -> Saved:
    """Read a schedule and the sites that it is for; without a denoiser those that its keys name.

    Raises ValueError where the file holds no schedule, UsageError where the denoiser is not the one that the schedule
    was planned on, or has other sites. Sites of the denoiser that the file does not name are always computed.
    """
    data = _object(path)
    keys = [key for key in data if key not in (META, WEIGHTS)]
    try:
        sites = tuple(named_sites(keys)) if denoiser is None else saved_sites(path, denoiser)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of kinds that are always computed
            known = data if denoiser is not None else {key: data[key] for key in data if key != WEIGHTS}
            schedule = Schedule.from_json(known, sites)
    except ValueError as error:
        raise UsageError(f"schedule {path}: {error}") from None
    planned = schedule.meta.get(PLANNED_ON)
    if denoiser is not None and isinstance(planned, str) and planned != (present := fingerprint(denoiser)):
        raise UsageError(f"schedule {path}: was planned on a {planned}, and --model is a {present}")
    return Saved(schedule, sites, _predictor(schedule, data[WEIGHTS]) if WEIGHTS in data else REUSE)


def _object(path: Path) -> dict[str, Any]:
    """Read a JSON object; ValueError, as from reading it as a schedule, where the file holds none."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=unique_keys)
    except (OSError, ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        Schedule.load(path, ())
        raise UsageError(f"schedule {path}: changed while it was read")
    return data


def _predictor(schedule: Schedule, weights: Any) -> str | None:
    """The predictor whose weights these are along a schedule; None where there is none."""
    if not isinstance(weights, dict):
        return None
    given = weights | {"timesteps": None}
    for name in PREDICTORS:
        known = schedule.with_predictor(name).to_json().get(WEIGHTS)
        if known is not None and known | {"timesteps": None} == given:
            return name
    return None


def named_sites(keys: Collection[str]) -> Iterator[Site]:
    """Yield the sites that keys name; for a kind without a block's number one site stands for all other blocks.

    Raises UsageError, naming the key, for one that names no site of any denoiser.
    """
    branches = {key: branch for key in keys if (branch := _of_branch(key))}
    others = 1 + max((int(block) for _, block in branches.values() if block), default=-1)
    for kind, number in branches.values():
        block = number or others
        yield Site(f"blocks.{block}.{kind}", kind, f"blocks.{number or ALL_OTHERS}.{kind}")
    for key in keys:
        if key not in branches:
            yield _outer(key)


def _of_branch(key: str) -> tuple[str, str] | None:
    """The kind of a branch and the number of its block, empty for all blocks; None where the key is no branch's."""
    match = KEY.fullmatch(key)
    kind = canonical(match[1]) if match else ""
    return (kind, match[2] or "") if match and kind.endswith(("attn", "ff")) else None


def _outer(key: str) -> Site:
    if key == DENOISER:
        return Site(DENOISER, DENOISER, "", level=DENOISER)
    match = RANGE.fullmatch(key)
    first, last = (int(match[1]), int(match[2])) if match else (0, -1)
    if first > last:
        raise UsageError(f"{key[:60]!r} names no layers, as attn, mlp-3, {SPAN}-0-27 or {DENOISER} do")
    blocks = tuple(f"blocks.{i}" for i in range(first, last + 1))
    return Site(f"blocks.{first}-{last}.{SPAN}", SPAN, f"blocks.{first}", level=SPAN, blocks=blocks)
