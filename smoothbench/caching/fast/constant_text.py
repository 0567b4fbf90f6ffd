"""Cross-attention to a text that does not change within a run: its keys and values are computed once."""

import copy
from collections.abc import Callable, Sequence
from typing import Any, Final

from torch import Tensor, nn

from smoothbench.caching.fast.unchanged import is_as_made

OF_TEXT: Final = ("to_k", "to_v", "kv_linear")  # layers of a cross-attention that read the text
# bytes of keys and values of all cross-attentions; where they take more, none are kept
KEPT_FOR_ALL: Final = 2**28

Call = Callable[..., Any]


def of_constant_text(branches: Sequence[nn.Module], forwards: Sequence[Call], text: Tensor) -> list[Call]:
    """Return the forwards of cross-attentions, whose layers that read `text` run in the first call alone.

    They give the same bits, as the same layers run on the same text. Layers that somebody has changed run in every
    call, and so do all of them in a branch whose forward is not that of its class.
    """
    if 2 * text.nbytes * len(branches) > KEPT_FOR_ALL:
        return list(forwards)
    return [_once(branch, forward) for branch, forward in zip(branches, forwards, strict=True)]


def _once(branch: nn.Module, forward: Call) -> Call:
    if getattr(forward, "__func__", None) is not type(branch).forward:
        return forward
    layers = {name: branch._modules.get(name) for name in OF_TEXT}
    plain = {name: layer for name, layer in layers.items() if type(layer) is nn.Linear and is_as_made(layer)}
    if not plain:
        return forward
    sharing = copy.copy(branch)  # it has the same parts and weights
    vars(sharing).pop("forward", None)  # of the engine's
    vars(sharing).update({name: _Remembered(layer) for name, layer in plain.items()})
    return sharing.forward


class _Remembered:
    """A layer that gives what it gave before where it gets the very tensor that it got before."""

    def __init__(self, layer: nn.Module) -> None:
        self._layer = layer
        self._given: Tensor | None = None
        self._output: Any = None

    def __call__(self, given: Tensor) -> Any:
        if given is not self._given:
            self._given, self._output = given, self._layer(given)
        return self._output
