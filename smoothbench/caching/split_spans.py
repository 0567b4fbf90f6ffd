"""Split the first and the last blocks of a denoiser off its spans, for methods that always compute them."""

from torch import nn

from smoothbench.caching.sites import SPAN, Site, find_sites


def split_spans(denoiser: nn.Module, first: int = 0, last: int = 0) -> tuple[Site, ...]:
    """Return the spans of a denoiser in order of execution, its `first` first and `last` last blocks in spans apart.

    Raises ValueError where so many blocks do not leave one of the first span, and one of the last, to be reused.
    """
    ranges = [tuple(map(int, site.block_label.split("-"))) for site in find_sites(denoiser, SPAN)]
    (start, stop), (begin, end) = ranges[0], ranges[-1]
    room = [stop - start + 1 - first, end - begin + 1 - last]
    if len(ranges) == 1:
        room = [room[0] - last]
    if min(first, last) < 0 or min(room) < 1:
        raise ValueError(
            f"{first} first and {last} last blocks cannot be split off the spans of {type(denoiser).__name__}, which "
            f"has {', '.join(f'{a}-{b}' for a, b in ranges)}"
        )
    ranges[0] = (start + first, ranges[0][1])
    ranges[-1] = (ranges[-1][0], end - last)
    head = [(start, start + first - 1)] if first else []
    tail = [(end - last + 1, end)] if last else []
    return find_sites(denoiser, SPAN, [*head, *((a, b) for a, b in ranges), *tail])
