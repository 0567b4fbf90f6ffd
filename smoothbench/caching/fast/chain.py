"""Add kept outputs to the stream: one pass of weighted sums, over rows that stay in a cache."""

from collections.abc import Sequence

import torch
from torch import Tensor

Term = tuple[Tensor | None, Tensor, float]  # a gate [B or 1, 1, width] or None, a kept output, and its weight
AT_ONCE = 2**22  # bytes of the stream that stay in a cache while all terms are added to them


def add_terms(stream: Tensor, terms: Sequence[Term], in_place: bool) -> Tensor:
    """Return the stream [B, tokens, width] plus the sum of weight * gate * output over all terms.

    `in_place`: the stream itself may be changed.
    """
    if not in_place:
        gate, output, weight = terms[0]
        terms = terms[1:]
        if gate is None:
            stream = torch.add(stream, output, alpha=weight)
        else:
            stream = torch.addcmul(stream, gate, output, value=weight)
    rows = _rows_at_once(stream)
    if rows >= len(stream) or len(terms) < 2:
        for gate, output, weight in terms:
            if gate is None:
                stream.add_(output, alpha=weight)
            else:
                stream.addcmul_(gate, output, value=weight)
        return stream
    for start in range(0, len(stream), rows):
        part = slice(start, start + rows)
        _add(stream[part], terms, part)
    return stream


def _rows_at_once(stream: Tensor) -> int:
    if stream.device.type != "cpu":
        return len(stream)
    return max(1, AT_ONCE * len(stream) // max(1, stream.nbytes))


def _add(stream: Tensor, terms: Sequence[Term], part: slice) -> None:
    for gate, output, weight in terms:
        if gate is None:
            stream.add_(output[part], alpha=weight)
        else:  # rows may share one gate
            stream.addcmul_(gate if len(gate) == 1 else gate[part], output[part], value=weight)
