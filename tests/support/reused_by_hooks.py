"""Reuse written without the engine: everything runs, and torch's hooks put earlier outputs in place."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from smoothbench.caching import Site


class LastComputed:
    """A hook that gives the last output of a computed forward in place of the outputs of the others."""

    def __init__(self, interval: int) -> None:
        self._interval, self._calls = interval, 0
        self.output: Any = None

    @property
    def computes(self) -> bool:
        """Whether the call under way is one that is computed."""
        return self._calls % self._interval == 0

    def __call__(self, module: nn.Module, args: Any, output: Any) -> Any:
        if self.computes:
            self.output = output
        self._calls += 1
        return self.output


class Added(LastComputed):
    """The same for what a run of blocks adds to its stream: on the last block, with `enter` before the first."""

    def enter(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Remember the stream that enters the first block."""
        self.entered: Tensor = args[0] if args else kwargs["hidden_states"]

    def __call__(self, module: nn.Module, args: Any, output: Tensor) -> Tensor:
        added: Tensor = super().__call__(module, args, output - self.entered)
        return self.entered + added


@contextmanager
def reused_by_hooks(denoiser: nn.Module, sites: Sequence[Site], interval: int) -> Iterator[None]:
    """Compute each site at every `interval`-th forward within a context, and reuse it in between."""
    hooks = []
    for site in sites:
        if site.level == "span":
            added = Added(interval)
            first, last = (denoiser.get_submodule(site.blocks[end]) for end in (0, -1))
            hooks.append(first.register_forward_pre_hook(added.enter, with_kwargs=True))
            hooks.append(last.register_forward_hook(added))
        else:
            hooks.append(denoiser.get_submodule(site.path).register_forward_hook(LastComputed(interval)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
