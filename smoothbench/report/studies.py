"""The studies of calibration: what they add to a report where a folder's records are theirs."""

from collections.abc import Callable
from functools import partial

import pandas as pd
from matplotlib.figure import Figure

from smoothbench.report import study_size, study_variance

NAMES = (study_size.EXPERIMENT, study_variance.EXPERIMENT)


def drawings(frame: pd.DataFrame) -> list[tuple[str, Callable[[], Figure]]]:
    """Names of the pictures that the records of a study have the data for, and what draws them."""
    found: list[tuple[str, Callable[[], Figure]]] = []
    if not study_size.points(frame).empty:
        found.append((study_size.EXPERIMENT, partial(study_size.picture, frame)))
    if not study_variance.points(frame).empty:
        found.append((study_variance.EXPERIMENT, partial(study_variance.picture, frame)))
    return found


def sections(frame: pd.DataFrame) -> list[str]:
    """The results of the studies in Markdown, line by line; empty unless the records are a study's."""
    return [*study_size.section(frame), *study_variance.section(frame)]
