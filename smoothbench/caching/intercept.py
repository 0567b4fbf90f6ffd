"""Replace forwards for a while: the one place where a model is touched, and restored."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

Forward = Callable[..., Any]
Wrap = Callable[[Forward], Forward]
MARK = "smoothbench_intercepted"


@contextmanager
def intercepted(denoiser: nn.Module, wraps: Sequence[tuple[nn.Module, Wrap]]) -> Iterator[None]:
    """Within the context, each module's forward is `wrap(its forward)`; after it, the original.

    Raises RuntimeError where the denoiser is already intercepted: contexts do not nest.
    """
    if hasattr(denoiser, MARK):
        raise RuntimeError(f"this {type(denoiser).__name__} is already inside cached(...) or calibrate(...)")
    before = [(module, vars(module).get("forward")) for module, _ in wraps]
    object.__setattr__(denoiser, MARK, True)
    try:
        for module, wrap in wraps:
            object.__setattr__(module, "forward", wrap(module.forward))
        yield
    finally:
        object.__delattr__(denoiser, MARK)
        for module, forward in reversed(before):
            vars(module).pop("forward", None)
            if forward is not None:  # another library had set an instance forward
                object.__setattr__(module, "forward", forward)
