"""Follow a span: what a run of blocks adds to the streams of a denoiser, computed or put in its place."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from smoothbench.caching.blocks import is_unet
from smoothbench.caching.hooks import Forward, Wrap
from smoothbench.caching.outputs import take_apart
from smoothbench.caching.probes import GivenUp
from smoothbench.caching.sites import Site
from smoothbench.caching.streams import Pass, Route, note_arguments, routes


class Span:
    """Follows one span, whose blocks hand one or several streams on from the first to the last.

    It keeps, for each stream, the main one first, what the blocks add to it; a stream that leaves in another shape than
    it enters with is kept as it leaves. Where the span is reused, its blocks hand their input on, and the last one
    returns what entered the first plus what was kept. Which argument of a block is which stream is seen at the first
    computed forward with arguments of these shapes: the forwards of guidance may have prompts of other lengths.
    """

    def __init__(
        self,
        denoiser: nn.Module,
        site: Site,
        enter: Callable[[], bool],
        keep: Callable[[tuple[Tensor, ...]], None],
        predict: Callable[[], Sequence[Tensor]],
    ) -> None:
        self.site = site
        self._blocks = [denoiser.get_submodule(path) for path in site.blocks]
        self._parameters = [list(inspect.signature(block.forward).parameters) for block in self._blocks]
        self._keeps_output = is_unet(denoiser)  # as what runs after the span reads it beside the skips
        self._enter, self._keep, self._predict = enter, keep, predict
        self._computes = True
        self._entered: Mapping[str, Tensor] = {}  # the tensors that the first block got, by argument
        self._passes: list[Pass] = []  # of a computed forward whose routes are not known yet
        self._leaves: Sequence[Tensor] = ()  # what the last block that ran gave, until the next one runs
        self._routes: list[Route] = []  # of the forward under way
        self._known: dict[
            tuple[Any, ...], list[Route]
        ] = {}  # routes by the shapes of the first block's arguments
        self._next = 0  # the number of the block that runs next

    def wraps(self) -> list[tuple[nn.Module, Wrap]]:
        """Return a wrap for each of its blocks."""
        return [(block, partial(self._wrap, k)) for k, block in enumerate(self._blocks)]

    def _wrap(self, k: int, original: Forward) -> Forward:
        last = k == len(self._blocks) - 1

        def forward(*args: Any, **kwargs: Any) -> Any:
            tensors = self._tensors(k, args, kwargs)
            if k == 0:
                self._begin(tensors)
            self._check_order(k)
            if not self._computes:
                return self._added_again() if last else self._handed_on(k, tensors)
            try:
                output = original(*args, **kwargs)
                leaves = self._learn(k, tensors, output)
                if last:
                    self._keep_added(leaves)
            except GivenUp as given_up:
                if given_up.site is not self.site:
                    raise
                self._computes = False
                return self._added_again() if last else self._handed_on(k, tensors)
            return output

        return forward

    def _begin(self, tensors: Mapping[str, Tensor]) -> None:
        self._computes, self._entered, self._leaves, self._next = self._enter(), tensors, (), 0
        self._passes, self._routes = [], self._known.get(_shapes(tensors), [])
        if not self._routes and not self._computes:
            raise ValueError(
                f"{self.site.name} is reused with arguments of other shapes than it was computed with in this run"
            )

    def _check_order(self, k: int) -> None:
        if k != self._next:
            raise ValueError(
                f"{self.site.name}: {self.site.blocks[k]} ran where {self.site.blocks[self._next]} should: a span is "
                "a run of blocks in their order of execution"
            )
        self._next = k + 1

    def _tensors(self, k: int, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Tensor]:
        """The tensors among the arguments of a block, by the name of the parameter."""
        named = {**dict(zip(self._parameters[k], args, strict=False)), **kwargs}
        return {name: value for name, value in named.items() if isinstance(value, Tensor)}

    def _learn(self, k: int, tensors: Mapping[str, Tensor], output: Any) -> Sequence[Tensor]:
        """Take the output apart, and note in the first forward which streams the block has."""
        leaves, rebuild = take_apart(output, self.site.blocks[k])
        if not self._routes:
            if self._passes:
                note_arguments(self._passes[-1], self._leaves, type(self._blocks[k]), tensors)
            shapes = {name: tensor.shape for name, tensor in tensors.items()}
            self._passes.append(Pass(type(self._blocks[k]), shapes, [leaf.shape for leaf in leaves], rebuild))
            self._leaves = leaves
        return leaves

    def _keep_added(self, leaves: Sequence[Tensor]) -> None:
        if not self._routes:
            self._routes = routes(self._passes, self.site.name, self._keeps_output)
            self._known[_shapes(self._entered)] = self._routes
        pairs = zip(leaves, self._streams(), strict=True)
        added = [leaf if old is None else leaf - old for leaf, old in pairs]
        self._leaves = ()
        self._keep(tuple(added[j] for j in self._routes[-1].main_first))
        self._entered = {}

    def _added_again(self) -> Any:
        added = dict(zip(self._routes[-1].main_first, self._predict(), strict=True))
        pairs = enumerate(self._streams())
        leaves = [added[j] if old is None else old + added[j] for j, old in pairs]
        self._entered = {}
        return self._routes[-1].rebuild(leaves)

    def _streams(self) -> list[Tensor | None]:
        """What the first block got of each stream; None for one that leaves the span in another shape."""
        return [None if name is None else self._entered[name] for name in self._routes[-1].entered_as]

    def _handed_on(self, k: int, tensors: Mapping[str, Tensor]) -> Any:
        route = self._routes[k]
        some = next(iter(tensors.values()))
        pairs = zip(route.handed_on, route.leaf_shapes, strict=True)
        return route.rebuild(
            [some.new_empty(shape) if name is None else tensors[name] for name, shape in pairs]
        )


def _shapes(tensors: Mapping[str, Tensor]) -> tuple[Any, ...]:
    return tuple((name, tensor.shape) for name, tensor in tensors.items())
