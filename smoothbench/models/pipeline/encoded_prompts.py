"""Prompts are encoded once: what a pipeline's text encoders gave is kept, and given again for the same prompts."""

import inspect
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

BYTES: Final = 2 * 1024**3  # of main memory, for encoded prompts
PLAIN: Final = (str, int, float, bool, type(None), torch.device, torch.dtype)


class EncodedPrompts:
    """Takes the place of a pipeline's `encode_prompt`, and calls it only for prompts that it has not seen.

    A batch of prompts is encoded as the pipeline does it, in one call, and so are the same prompts the next time:
    results are the same bits. Calls with tensors or pictures among their arguments are passed on. What is kept lies in
    main memory; the oldest is dropped where it is too much. `calls` counts the calls that ran.
    """

    def __init__(self, encode: Callable[..., Any], room: int = BYTES) -> None:
        self._encode, self._signature, self._room = encode, inspect.signature(encode), room
        self._kept: OrderedDict[str, Any] = OrderedDict()
        self.calls = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the text encoders give for these arguments of `encode_prompt`."""
        given = self._signature.bind(*args, **kwargs).arguments
        if not all(isinstance(leaf, PLAIN) for leaf in pytree.tree_leaves(dict(given))):
            return self._encode(*args, **kwargs)
        key = repr(sorted(given.items()))
        if key not in self._kept:
            self.calls += 1
            encoded = self._encode(*args, **kwargs)
            places = pytree.tree_map_only(Tensor, lambda leaf: leaf.device, encoded)
            self._kept[key] = (
                pytree.tree_map_only(Tensor, lambda leaf: leaf.to("cpu", copy=True), encoded),
                places,
            )
            self._drop()
            return encoded
        encoded, places = self._kept[key]
        return pytree.tree_map(_placed, encoded, places)

    def _drop(self) -> None:
        while len(self._kept) > 1 and sum(map(_bytes, self._kept.values())) > self._room:
            self._kept.popitem(last=False)


def _placed(value: Any, place: Any) -> Any:
    """A kept tensor where it was, as a copy, which the pipeline may change."""
    return value.to(place, copy=True) if isinstance(value, Tensor) else value


def _bytes(encoded: Any) -> int:
    return sum(leaf.nbytes for leaf in pytree.tree_leaves(encoded) if isinstance(leaf, Tensor))
