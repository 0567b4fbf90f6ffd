"""Find the sites that a schedule's file is for: their levels stand in its keys."""

import json
import re
from pathlib import Path

from torch import nn

from smoothbench.caching.schedule_json import META, WEIGHTS
from smoothbench.caching.sites import BRANCH, DENOISER, SPAN, Site, find_sites


def saved_sites(path: str | Path, denoiser: nn.Module) -> tuple[Site, ...]:
    """Return the sites of a denoiser that the JSON file of a schedule names; its branches where it names no others.

    A file that is no schedule has no others: reading it as one says what is wrong with it. Raises ValueError where the
    denoiser does not have these sites.
    """
    try:
        keys = set(json.loads(Path(path).read_text(encoding="utf-8"))) - {META, WEIGHTS}
    except (OSError, ValueError, TypeError, RecursionError):
        return find_sites(denoiser)
    spans = [re.fullmatch(rf"{SPAN}-(\d{{1,6}})-(\d{{1,6}})", key) for key in keys]
    ranges = sorted((int(match[1]), int(match[2])) for match in spans if match)
    levels = [DENOISER] if DENOISER in keys else []
    levels += [SPAN] if ranges or SPAN in keys else []
    if not levels or keys - {DENOISER, SPAN, *(f"{SPAN}-{first}-{last}" for first, last in ranges)}:
        levels.append(BRANCH)
    return find_sites(denoiser, levels, ranges or None)
