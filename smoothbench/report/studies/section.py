"""What an experiment adds to its report: lines of Markdown and pictures, made from the records alone."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from matplotlib.figure import Figure

PICTURE = re.compile(r"[\w.=-]{1,100}", re.ASCII)


@dataclass(frozen=True)
class Section:
    """Lines of Markdown and pictures that an experiment adds to its report, after the tables.

    `lines` are joined by line breaks; `pictures` map a file's name without suffix to the function that draws it.
    `summarises`: the section stands for the points of the experiment, at the head of the report, so that the pictures
    of single groups are left out where it has pictures, and a published copy has no curves, per-sample scores and
    previews. Raises ValueError
    for a picture whose name is no plain file name.
    """

    lines: Sequence[str] = ()
    pictures: Mapping[str, Callable[[], Figure]] = field(default_factory=dict)
    summarises: bool = False

    def __post_init__(self) -> None:
        for name in self.pictures:
            if not PICTURE.fullmatch(name):
                raise ValueError(f"{name[:60]!r} is no name of a picture: letters, digits and . _ = - only")
