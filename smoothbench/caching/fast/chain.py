"""Add kept outputs to the stream: on a CPU in one pass over rows that stay in a cache, on a device in few kernels."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

Term = tuple[Tensor | None, Tensor, float]  # a gate [B or 1, 1, width] or None, a kept output, and its weight
AT_ONCE = 2**22  # bytes of the stream that stay in a cache while all terms are added to them
# bytes of outputs that are copied together, on a device: more take longer to copy than to launch
STACKED = 2**27
KERNELS = 5  # of outputs of the same weight that are added together


def add_terms(stream: Tensor, terms: Sequence[Term], in_place: bool) -> Tensor:
    """Return the stream [B, tokens, width] plus the sum of weight * gate * output over all terms.

    `in_place`: the stream itself may be changed.
    """
    if in_place and len(terms) == 1:  # between branches that are computed
        return _add(stream, terms[0])
    if stream.device.type != "cpu":
        groups = _alike(terms)
        if len(terms) > KERNELS * len(groups) and sum(output.nbytes for _, output, _ in terms) <= STACKED:
            return add_stacked(stream, groups, in_place)
    if not in_place:
        gate, output, weight = terms[0]
        terms = terms[1:]
        if gate is None:
            stream = torch.add(stream, output, alpha=weight)
        else:
            stream = torch.addcmul(stream, gate, output, value=weight)
    rows = _rows_at_once(stream)
    if rows >= len(stream) or len(terms) < 2:
        for term in terms:
            _add(stream, term)
        return stream
    for start in range(0, len(stream), rows):
        part = slice(start, start + rows)
        here = stream[part]
        for gate, output, weight in terms:  # rows may share one gate
            _add(here, (gate if gate is None or len(gate) == 1 else gate[part], output[part], weight))
    return stream


Groups = Mapping[tuple[float, bool], Sequence[Term]]  # terms by their weight, and whether they have a gate


def add_stacked(stream: Tensor, groups: Groups, in_place: bool) -> Tensor:
    """Return the stream plus all terms, which are stacked, multiplied and summed together: few kernels for many terms.

    It rounds otherwise than one term after the other: a sum is rounded once.
    """
    for (weight, is_gated), terms in groups.items():
        outputs = torch.stack([output for _, output, _ in terms])
        if is_gated:
            outputs.mul_(torch.stack([gate for gate, _, _ in terms if gate is not None]))
        added = outputs.sum(0)
        stream = stream.add_(added, alpha=weight) if in_place else torch.add(stream, added, alpha=weight)
        in_place = True
    return stream


def _alike(terms: Sequence[Term]) -> Groups:
    groups = defaultdict[tuple[float, bool], list[Term]](list)
    for term in terms:
        groups[term[2], term[0] is not None].append(term)
    return groups


def _rows_at_once(stream: Tensor) -> int:
    if stream.device.type != "cpu":
        return len(stream)
    return max(1, AT_ONCE * len(stream) // max(1, stream.nbytes))


def _add(stream: Tensor, term: Term) -> Tensor:
    gate, output, weight = term
    if gate is None:
        return stream.add_(output, alpha=weight)
    return stream.addcmul_(gate, output, value=weight)
