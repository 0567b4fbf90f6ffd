"""Read a schedule's file: against the denoiser that it is for, or as it stands where none is given."""

import json
import re
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

from torch import nn

from smoothbench.caching import Schedule, Site, saved_sites
from smoothbench.caching.fingerprint import DENOISER as PLANNED_ON
from smoothbench.caching.fingerprint import fingerprint
from smoothbench.caching.schedule_json import canonical
from smoothbench.caching.sites import DENOISER, SPAN
from smoothbench.errors import UsageError

KEY = re.compile(r"([a-z_0-9]+)(?:-(\d{1,4}))?")
RANGE = re.compile(rf"{SPAN}-(\d{{1,4}})-(\d{{1,4}})")
META = "_meta"
Read = tuple[Schedule, tuple[Site, ...]]


def read(path: Path, denoiser: nn.Module | None = None) -> Read:
    """Read a schedule and the sites that it is for; without a denoiser those that its keys name.

    Raises ValueError where the file holds no schedule, UsageError where the denoiser is not the one that the schedule
    was planned on, or has other sites. Sites of the denoiser that the file does not name are always computed.
    """
    try:
        sites = tuple(named_sites(keys_of(path))) if denoiser is None else saved_sites(path, denoiser)
    except ValueError as error:
        raise UsageError(f"schedule {path}: {error}") from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of kinds that are always computed
        schedule = Schedule.load(path, sites)
    planned = schedule.meta.get(PLANNED_ON)
    if denoiser is not None and isinstance(planned, str) and planned != (present := fingerprint(denoiser)):
        raise UsageError(f"schedule {path}: was planned on a {planned}, and --model is a {present}")
    return schedule, sites


def keys_of(path: Path) -> list[str]:
    """Return the keys of a schedule's file; none where it cannot be read as one, which reading it explains."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    return [key for key in data if key != META] if isinstance(data, dict) else []


def named_sites(keys: Iterable[str]) -> Iterator[Site]:
    """Yield the sites that keys name; for a kind without a block's number one site stands for all other blocks.

    Raises UsageError, naming the key, for one that names no site of any denoiser.
    """
    branches = [match for key in keys if key != DENOISER and (match := _of_branch(key))]
    others = 1 + max((int(match[2]) for match in branches if match[2]), default=-1)
    for match in branches:
        kind, block = canonical(match[1]), match[2] or others
        yield Site(f"blocks.{block}.{kind}", kind, f"blocks.{block}.{kind}")
    for key in {*keys} - {match[0] for match in branches}:
        yield _outer(key)


def _of_branch(key: str) -> re.Match[str] | None:
    match = KEY.fullmatch(key)
    return match if match and canonical(match[1]).endswith(("attn", "ff")) else None


def _outer(key: str) -> Site:
    if key == DENOISER:
        return Site(DENOISER, DENOISER, "", level=DENOISER)
    match = RANGE.fullmatch(key)
    first, last = (int(match[1]), int(match[2])) if match else (0, -1)
    if first > last:
        raise UsageError(f"{key[:60]!r} names no layers, as attn, mlp-3, {SPAN}-0-27 or {DENOISER} do")
    blocks = tuple(f"blocks.{i}" for i in range(first, last + 1))
    return Site(f"blocks.{first}-{last}.{SPAN}", SPAN, f"blocks.{first}", level=SPAN, blocks=blocks)
