"""Reuse of branches and of runs of blocks, written with plain torch hooks: what the engine must equal."""

import inspect
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.utils import _pytree as pytree


class ReusedOutputs:
    """Puts outputs of the last computed evaluations in the place of those that are not computed.

    With `order` 1 the last two are continued in a straight line over the number of the evaluation. Set `evaluation`
    and `computes` before each forward.
    """

    def __init__(self, order: int = 0) -> None:
        self.order, self.evaluation, self.computes = order, 0, True
        self._earlier: dict[Any, list[tuple[int, list[Tensor]]]] = {}

    @contextmanager
    def branches(self, denoiser: nn.Module, paths: Sequence[str]) -> Iterator[None]:
        """Reuse the outputs of the modules at these paths within a context, each call of a forward by itself."""
        calls: Counter[tuple[nn.Module, int]] = Counter()

        def after(module: nn.Module, args: Any, output: Any) -> Any:
            leaves, rebuild = _taken_apart(output)
            call = calls[module, self.evaluation]
            calls[module, self.evaluation] += 1
            return rebuild(self.stand_in((module, call), leaves))

        handles = [denoiser.get_submodule(path).register_forward_hook(after) for path in paths]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    @contextmanager
    def span(
        self, denoiser: nn.Module, paths: Sequence[str], streams: Sequence[str] | None
    ) -> Iterator[None]:
        """Reuse what the blocks at these paths add, from the first to the last, within a context.

        `streams` names for each tensor that the last block gives the argument of the first block that is the same
        stream; None where the tensors themselves are reused.
        """
        first, last = denoiser.get_submodule(paths[0]), denoiser.get_submodule(paths[-1])
        names = list(inspect.signature(first.forward).parameters)
        entered: dict[str, Any] = {}

        def before(module: nn.Module, args: Any, kwargs: Any) -> None:
            entered.update(dict(zip(names, args, strict=False)), **kwargs)

        def after(module: nn.Module, args: Any, output: Any) -> Any:
            leaves, rebuild = _taken_apart(output)
            if streams is None:
                return rebuild(self.stand_in(module, leaves))
            old = [entered[name] for name in streams]
            added = [leaf - before for leaf, before in zip(leaves, old, strict=True)]
            kept = self.stand_in(module, added)
            return output if self.computes else rebuild([a + b for a, b in zip(old, kept, strict=True)])

        handles = [
            first.register_forward_pre_hook(before, with_kwargs=True),
            last.register_forward_hook(after),
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def stand_in(self, place: Any, leaves: list[Tensor]) -> list[Tensor]:
        """What stands at a place at this evaluation, where the tensors `leaves` would be computed."""
        if self.computes:
            self._earlier.setdefault(place, []).append((self.evaluation, leaves))
            return leaves
        (e, newest), *older = self._earlier[place][::-1]
        if not self.order or not older:
            return newest
        before, oldest = older[0]
        steps = (self.evaluation - e) / (e - before)
        return [new + steps * (new - old) for new, old in zip(newest, oldest, strict=True)]


def _taken_apart(output: Any) -> tuple[list[Tensor], Any]:
    leaves, structure = pytree.tree_flatten(output)
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]

    def rebuild(tensors: Sequence[Tensor]) -> Any:
        filled = list(leaves)
        for place, tensor in zip(places, tensors, strict=True):
            filled[place] = tensor
        return pytree.tree_unflatten(filled, structure)

    return [leaves[place] for place in places], rebuild
