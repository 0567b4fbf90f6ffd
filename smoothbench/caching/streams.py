"""See which argument of a block is which of its outputs: the streams that a run of blocks hands on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from smoothbench.caching.outputs import Rebuild

STREAMS = ("hidden_states", "encoder_hidden_states")  # diffusers' names, the main stream first


@dataclass(frozen=True)
class Pass:
    """One block's part of a forward: its class, and the shapes of the tensors that it got and gave.

    `becomes` names, for the tensors of its output that the next block of the same class gets as they are, by which
    argument; `rebuild` makes an output of tensors.
    """

    block: type
    shapes: Mapping[str, torch.Size]
    leaf_shapes: Sequence[torch.Size]
    rebuild: Rebuild
    becomes: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Route:
    """How a block is left out: `handed_on` names, for each tensor of its output, the argument that takes its place.

    It is None where any tensor of the same shape will do, as nothing that runs reads it. `entered_as` names, for each
    tensor, the argument of the span's first block that is the same stream, None where the tensor itself is kept;
    `rebuild` makes a block's output of tensors.
    """

    handed_on: tuple[str | None, ...]
    entered_as: tuple[str | None, ...]
    leaf_shapes: tuple[torch.Size, ...]
    rebuild: Rebuild

    @property
    def main_first(self) -> list[int]:
        """The numbers of the output's tensors, that of the main stream first."""
        return sorted(range(len(self.entered_as)), key=lambda j: self.entered_as[j] != STREAMS[0])


def note_arguments(
    before: Pass, leaves: Sequence[Tensor], block: type, tensors: Mapping[str, Tensor]
) -> None:
    """Note which tensors that a block gave are arguments of the next one, if that is of the same class."""
    if before.block is block:
        for j, leaf in enumerate(leaves):
            for name in (name for name, tensor in tensors.items() if tensor is leaf):
                before.becomes[j] = name


def routes(passes: Sequence[Pass], span: str, keeps_output: bool = False) -> list[Route]:
    """Work out the routes of a run of blocks from what they got and gave in one forward.

    A tensor of a block's output is the stream of the argument that it becomes in the next block of the same class;
    otherwise that of the argument with its shape. With `keeps_output` no tensor is a stream: what the last block
    gives is kept as it is. Raises ValueError, naming the span, where the streams cannot be told apart.
    """
    if keeps_output:
        return [_without_streams(one) for one in passes]
    known: dict[
        tuple[type, int], dict[int, str]
    ] = {}  # a last block may give fewer streams than its class does
    for one in passes:
        known.setdefault((one.block, len(one.leaf_shapes)), {}).update(one.becomes)
    return [_route(one, passes[0].shapes, known[one.block, len(one.leaf_shapes)], span) for one in passes]


def _without_streams(one: Pass) -> Route:
    nothing = (None,) * len(one.leaf_shapes)
    return Route(nothing, nothing, tuple(one.leaf_shapes), one.rebuild)


def _route(one: Pass, first: Mapping[str, torch.Size], known: Mapping[int, str], span: str) -> Route:
    names: list[str] = []
    for j, shape in enumerate(one.leaf_shapes):
        names.append(known[j] if j in known else _by_shape(one, shape, names, span))
    pairs = zip(names, one.leaf_shapes, strict=True)
    entered_as = tuple(name if first.get(name) == shape else None for name, shape in pairs)
    return Route(tuple(names), entered_as, tuple(one.leaf_shapes), one.rebuild)


def _by_shape(one: Pass, shape: torch.Size, taken: Sequence[str], span: str) -> str:
    fitting = [name for name, other in one.shapes.items() if name not in taken and other == shape]
    if len(fitting) > 1 and len(one.leaf_shapes) == 1:
        fitting = [name for name in STREAMS if name in fitting][:1] or fitting
    if len(fitting) != 1:
        raise ValueError(
            f"{span}: a {one.block.__name__} returns a tensor {list(shape)} that is "
            f"{'one of several' if fitting else 'none'} of its arguments by shape: its streams cannot be told apart"
        )
    return fitting[0]
