"""Names beside points, where there is room for them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

Vector = NDArray[np.float64]

Place = tuple[int, int, str, str]
# Tried in this order: offset in points, horizontal and vertical alignment.
PLACES: tuple[Place, ...] = (
    (0, 6, "center", "bottom"),
    (0, -6, "center", "top"),
    (6, 0, "left", "center"),
    (-6, 0, "right", "center"),
    (5, 4, "left", "bottom"),
    (-5, 4, "right", "bottom"),
    (5, -4, "left", "top"),
    (-5, -4, "right", "top"),
)
FAR = tuple((reach * x, reach * y, across, up) for reach in (3, 5, 7) for x, y, across, up in PLACES)


@dataclass(frozen=True)
class Label:
    """A text for the point at x, y (data coordinates)."""

    x: float
    y: float
    text: str
    colour: str


def draw_labels(
    axes: Axes, labels: Iterable[Label], obstacles: list[Bbox], lines: NDArray[np.float64], far: bool = False
) -> list[Bbox]:
    """Write each label where it covers no obstacle and no other label and, of such places, the least line.

    Args: obstacles, and lines [n, 2] as a dense row of points, in display coordinates; the layout must be
    final; far, whether a label stands away from its point, at the end of a dotted line. A label without room is left
    out: the table names every point. Returns the boxes of those written.
    """
    inside, written = axes.get_window_extent(), list[Bbox]()
    for label in labels:
        annotation = _annotate(axes, label)
        box = _clearest(annotation, [*obstacles, *written], inside, lines, FAR if far else PLACES)
        if box is None:
            annotation.remove()
        else:
            written.append(box)
            if far:
                _lead(axes, label, annotation)
    return written


def settle_layout(figure: Figure) -> None:
    """Lay a figure out for good, without drawing it."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
    figure.set_layout_engine("none")


def marker_boxes(axes: Axes, points: Iterable[tuple[float, float]], size: float = 6.0) -> list[Bbox]:
    """Return squares of `size` points around data points, in display coordinates."""
    figure = axes.get_figure(root=True)
    half = size / 2 * (figure.dpi if isinstance(figure, Figure) else 72.0) / 72
    centres = axes.transData.transform(list(points))
    return [Bbox.from_extents(x - half, y - half, x + half, y + half) for x, y in centres]


def bar_boxes(axes: Axes, left: Vector, right: Vector, low: Vector, high: Vector) -> list[Bbox]:
    """Return boxes of error bars from (left, low) to (right, high) [n], in display coordinates."""
    starts, ends = (
        axes.transData.transform(np.stack(corner, axis=1)) for corner in ((left, low), (right, high))
    )
    return [Bbox([start - 1, end + 1]) for start, end in zip(starts, ends, strict=True)]


def line_points(axes: Axes) -> NDArray[np.float64]:
    """Return the lines of an axes as points one pixel apart or less, display coordinates [n, 2]."""
    points = [np.empty((0, 2))]
    for line in axes.get_lines():
        path = line.get_transform().transform_path(line.get_path())
        vertices = np.asarray(path.vertices, dtype=np.float64)
        for start, end in pairwise(vertices):
            length = float(np.hypot(*(end - start)))
            points.append(start + np.linspace(0, 1, math.ceil(length) + 1)[:, None] * (end - start))
    return np.concatenate(points)


def _annotate(axes: Axes, label: Label) -> Annotation:
    text = axes.annotate(label.text, (label.x, label.y), (0, 0), textcoords="offset points", fontsize=6.6)
    text.set(color=label.colour, horizontalalignment="left", verticalalignment="bottom")
    text.set_in_layout(False)
    text.set_zorder(6)
    return text


def _lead(axes: Axes, label: Label, annotation: Annotation) -> None:
    """Draw the dotted line from a point to its label; a whole line would be read as an interval."""
    looks = {
        "arrowstyle": "-",
        "color": label.colour,
        "linewidth": 0.7,
        "linestyle": ":",
        "shrinkA": 0,
        "shrinkB": 2,
    }
    line = axes.annotate(
        "", (label.x, label.y), annotation.get_position(), textcoords="offset points", arrowprops=looks
    )
    line.set_in_layout(False)


def _clearest(
    annotation: Annotation,
    taken: list[Bbox],
    inside: Bbox,
    lines: NDArray[np.float64],
    places: Sequence[Place],
) -> Bbox | None:
    """Move a label to its best place and return the box it fills there; None if there is no room."""
    free, first = [], annotation.get_window_extent()  # measured once: letters take long to lay out
    for place in places:
        box = _moved(first, place, annotation)
        within = inside.x0 <= box.x0 and box.x1 <= inside.x1 and inside.y0 <= box.y0 and box.y1 <= inside.y1
        if within and not any(box.padded(2).overlaps(other) for other in taken):
            free.append((box.count_contains(lines), place, box))
    if not free:
        return None
    _, (x, y, horizontal, vertical), box = min(free, key=lambda one: one[0])
    annotation.set_position((x, y))
    annotation.set(horizontalalignment=horizontal, verticalalignment=vertical)
    return box


def _moved(first: Bbox, place: Place, annotation: Annotation) -> Bbox:
    """The box of a label at a place; `first` is its box where its lower left corner is at the point."""
    x, y, horizontal, vertical = place
    figure = annotation.get_figure(root=True)
    point = (figure.dpi if isinstance(figure, Figure) else 72.0) / 72
    left = {"left": 0.0, "center": 0.5, "right": 1.0}[horizontal] * first.width
    down = {"bottom": 0.0, "center": 0.5, "top": 1.0}[vertical] * first.height
    return first.translated(x * point - left, y * point - down)
