"""A cache of another library, as the comparison sees it."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from torch import nn

# (denoiser, interval, evaluations) -> what must be called before every sampling run
Attach = Callable[[nn.Module, int, int], Callable[[], object]]


@dataclass(frozen=True)
class Peer:
    """A cache of another library that can compute a denoiser at every N-th evaluation and reuse it in between.

    `attach` puts it on a denoiser for good. An interval of 1 computes everything. `reuses` says what is reused, in the
    words of the table; `package` is what must be installed, by the name of its module, and `install` how.
    """

    name: str
    reuses: str
    package: str
    install: str
    attach: Attach

    @property
    def unavailable_reason(self) -> str | None:
        """Why the peer cannot be measured here, in one line; None where it can."""
        return None if find_spec(self.package) else f"{self.name}: not installed: {self.install}"


def every(interval: int, evals: int) -> list[bool]:
    """Return the mask that all peers follow: evaluation e is computed where e is a multiple of the interval."""
    return [e % interval == 0 for e in range(evals)]


def nothing(*_: Any) -> None:
    """Reset nothing, for a peer that starts every run by itself."""
