"""Caching methods that may decide on sites of any level: branches, the whole stack of blocks, or the whole denoiser."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

from smoothbench.caching.sites import BRANCH, LEVELS


@dataclass(frozen=True)
class AtLevel:
    """A caching method with a parameter `level`, which says at which level its sites lie.

    At "branch" it decides on every branch, at "span" on the whole stack of blocks, at "denoiser" on the denoiser's
    output. Raises ValueError for another level.
    """

    level: str = field(default=BRANCH, kw_only=True)
    # results from before there was a level are those at this one
    gained: ClassVar[Mapping[str, Any]] = MappingProxyType({"level": BRANCH})

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise ValueError(f"level is {', '.join(map(repr, LEVELS))}, not {self.level!r}")
