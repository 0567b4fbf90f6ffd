"""The studies of calibration: what they add to a report where a folder's records are theirs."""

from collections.abc import Callable
from functools import partial

import pandas as pd
from matplotlib.figure import Figure

from smoothbench.report.data.frame import settings
from smoothbench.report.studies import calibration_size, calibration_variance

NAMES = (calibration_size.EXPERIMENT, calibration_variance.EXPERIMENT)


def drawings(frame: pd.DataFrame) -> list[tuple[str, Callable[[], Figure]]]:
    """Names of the pictures that the records of a study have the data for, and what draws them.

    One study compares settings in one picture, the other has one for each setting.
    """
    found: list[tuple[str, Callable[[], Figure]]] = []
    for suffix, part in settings(frame):
        if not calibration_size.points(part).empty:
            name = "-".join(filter(None, [calibration_size.EXPERIMENT, suffix]))
            found.append((name, partial(calibration_size.picture, part)))
    if not calibration_variance.points(frame).empty:
        found.append((calibration_variance.EXPERIMENT, partial(calibration_variance.picture, frame)))
    return found


def sections(frame: pd.DataFrame) -> list[str]:
    """The results of the studies in Markdown, line by line; empty unless the records are a study's."""
    sizes = [line for _, part in settings(frame) for line in calibration_size.section(part)]
    return [*sizes, *calibration_variance.section(frame)]
