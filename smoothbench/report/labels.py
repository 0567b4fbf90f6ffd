"""Names beside points, where there is room for them."""

from collections.abc import Iterable
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

# Tried in this order: offset in points, horizontal and vertical alignment.
PLACES = (
    (0, 6, "center", "bottom"),
    (0, -6, "center", "top"),
    (6, 0, "left", "center"),
    (-6, 0, "right", "center"),
    (5, 4, "left", "bottom"),
    (-5, 4, "right", "bottom"),
    (5, -4, "left", "top"),
    (-5, -4, "right", "top"),
)


@dataclass(frozen=True)
class Label:
    """A text for the point at x, y (data coordinates)."""

    x: float
    y: float
    text: str
    colour: str


def draw_labels(axes: Axes, labels: Iterable[Label], obstacles: list[Bbox]) -> int:
    """Write each label at the first place where it covers no obstacle and no other label.

    Args: obstacles, in display coordinates; the layout must be final. A label without room is left out:
    the table names every point. Returns how many were written.
    """
    taken, inside, written = list(obstacles), axes.get_window_extent(), 0
    for label in labels:
        annotation = _annotate(axes, label)
        box = _first_free(annotation, taken, inside)
        if box is None:
            annotation.remove()
        else:
            taken.append(box)
            written += 1
    return written


def marker_boxes(axes: Axes, points: Iterable[tuple[float, float]], size: float = 6.0) -> list[Bbox]:
    """Squares of `size` points around data points, in display coordinates."""
    figure = axes.get_figure(root=True)
    half = size / 2 * (figure.dpi if isinstance(figure, Figure) else 72.0) / 72
    centres = axes.transData.transform(list(points))
    return [Bbox.from_extents(x - half, y - half, x + half, y + half) for x, y in centres]


def bar_boxes(axes: Axes, bars: Iterable[tuple[float, float, float]]) -> list[Bbox]:
    """Boxes of vertical error bars (x, low, high), in display coordinates."""
    ends = [axes.transData.transform([(x, low), (x, high)]) for x, low, high in bars]
    return [Bbox.from_extents(a[0] - 1, a[1], b[0] + 1, b[1]) for a, b in ends]


def _annotate(axes: Axes, label: Label) -> Annotation:
    text = axes.annotate(label.text, (label.x, label.y), (0, 0), textcoords="offset points", fontsize=6.6)
    text.set_color(label.colour)
    text.set_in_layout(False)
    text.set_zorder(6)
    return text


def _first_free(annotation: Annotation, taken: list[Bbox], inside: Bbox) -> Bbox | None:
    for x, y, horizontal, vertical in PLACES:
        annotation.set_position((x, y))
        annotation.set_horizontalalignment(horizontal)
        annotation.set_verticalalignment(vertical)
        box = annotation.get_window_extent()
        within = inside.x0 <= box.x0 and box.x1 <= inside.x1 and inside.y0 <= box.y0 and box.y1 <= inside.y1
        if within and not any(box.overlaps(other) for other in taken):
            return box
    return None
