"""Prompts are encoded once: what a pipeline's text encoders gave is kept, and given again for the same prompts."""

import inspect
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from inspect import BoundArguments
from typing import Any, Final

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from tqdm import tqdm

from smoothbench.models.base.offloaded import Offloaded

BYTES: Final = 2 * 1024**3  # of main memory, for encoded prompts
PLAIN: Final = (str, int, float, bool, type(None), torch.device, torch.dtype)
PROMPT: Final = "prompt"


class EncodedPrompts:
    """Takes the place of a pipeline's `encode_prompt`, and calls it only for prompts that it has not seen.

    A batch of prompts is encoded as the pipeline does it, in one call, and so are the same prompts the next time:
    results are the same bits. Calls with tensors or pictures among their arguments are passed on. What is kept lies in
    main memory; the oldest is dropped where it is too much. `calls` counts the calls that ran. Where the text encoders
    are `offloaded`, they come to the device for such calls alone, and with a batch that is `expected` all other ones of
    its size are encoded too, as far as there is room.
    """

    def __init__(self, encode: Callable[..., Any], room: int = BYTES) -> None:
        self._encode, self._signature, self._room = encode, inspect.signature(encode), room
        self._kept: OrderedDict[str, Any] = OrderedDict()
        self._bytes = 0
        self.calls = 0
        self.offloaded: Offloaded | None = None
        self.expected: Sequence[Sequence[str]] = ()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the text encoders give for these arguments of `encode_prompt`."""
        bound = self._signature.bind(*args, **kwargs)
        if not all(isinstance(leaf, PLAIN) for leaf in pytree.tree_leaves(dict(bound.arguments))):
            return self._called(bound)
        if (key := _key(bound)) in self._kept:
            encoded, places = self._kept[key]
            return pytree.tree_map(_placed, encoded, places)
        if self.offloaded is None:
            return self._added(bound)
        with self.offloaded:
            encoded = self._added(bound)
            for coming in tqdm(self._coming(bound), "prompts", leave=False, disable=None, delay=2.0):
                self._added(coming)
        return encoded

    def _added(self, bound: BoundArguments) -> Any:
        """Encode prompts, and keep what that gives."""
        self.calls += 1
        encoded = self._called(bound)
        places = pytree.tree_map_only(Tensor, lambda leaf: leaf.device, encoded)
        copies = pytree.tree_map_only(Tensor, lambda leaf: leaf.to("cpu", copy=True), encoded)
        self._kept[_key(bound)] = copies, places
        self._bytes += _size(copies)
        while len(self._kept) > 1 and self._bytes > self._room:
            self._bytes -= _size(self._kept.popitem(last=False)[1][0])
        return encoded

    def _coming(self, bound: BoundArguments) -> Iterator[BoundArguments]:
        """The arguments of the expected batches beside this one, for as long as what is kept has room for one more."""
        prompts = bound.arguments.get(PROMPT)
        others = [list(batch) for batch in self.expected]
        if prompts not in others:
            return
        for batch in others:
            arguments = BoundArguments(self._signature, OrderedDict({**bound.arguments, PROMPT: batch}))
            if len(batch) == len(prompts) and _key(arguments) not in self._kept:
                if self._bytes * (len(self._kept) + 1) > self._room * len(self._kept):
                    return
                yield arguments

    def _called(self, bound: BoundArguments) -> Any:
        if self.offloaded is None:
            return self._encode(*bound.args, **bound.kwargs)
        with self.offloaded:
            return self._encode(*bound.args, **bound.kwargs)


def _key(bound: BoundArguments) -> str:
    return repr(sorted(bound.arguments.items()))


def _placed(value: Any, place: Any) -> Any:
    """A kept tensor where it was, as a copy, which the pipeline may change."""
    return value.to(place, copy=True) if isinstance(value, Tensor) else value


def _size(encoded: Any) -> int:
    return sum(leaf.nbytes for leaf in pytree.tree_leaves(encoded) if isinstance(leaf, Tensor))
