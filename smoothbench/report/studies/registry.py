"""The studies of calibration: what they add to a report where a folder's records are theirs."""

from collections.abc import Callable
from functools import partial

import pandas as pd
from matplotlib.figure import Figure

from smoothbench.report import study_size, study_variance
from smoothbench.report.frame import settings

NAMES = (study_size.EXPERIMENT, study_variance.EXPERIMENT)


def drawings(frame: pd.DataFrame) -> list[tuple[str, Callable[[], Figure]]]:
    """Names of the pictures that the records of a study have the data for, and what draws them.

    One study compares settings in one picture, the other has one for each setting.
    """
    found: list[tuple[str, Callable[[], Figure]]] = []
    for suffix, part in settings(frame):
        if not study_size.points(part).empty:
            name = "-".join(filter(None, [study_size.EXPERIMENT, suffix]))
            found.append((name, partial(study_size.picture, part)))
    if not study_variance.points(frame).empty:
        found.append((study_variance.EXPERIMENT, partial(study_variance.picture, frame)))
    return found


def sections(frame: pd.DataFrame) -> list[str]:
    """The results of the studies in Markdown, line by line; empty unless the records are a study's."""
    sizes = [line for _, part in settings(frame) for line in study_size.section(part)]
    return [*sizes, *study_variance.section(frame)]
