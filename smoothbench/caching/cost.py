"""What a trajectory costs in multiply-accumulates (MACs), linear layers apart from attention products."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Macs:
    """A number of MACs: `linear` of linear layers and convolutions, `attention` of the attention products."""

    linear: int
    attention: int

    @property
    def total(self) -> int:
        """`linear + attention`."""
        return self.linear + self.attention

    def __add__(self, other: "Macs") -> "Macs":
        return Macs(self.linear + other.linear, self.attention + other.attention)

    def __sub__(self, other: "Macs") -> "Macs":
        return Macs(self.linear - other.linear, self.attention - other.attention)


@dataclass(frozen=True)
class Cost:
    """The MACs that a trajectory takes for one sample, guidance rows included.

    `by_kind` are those of the sites, by kind of site; `rest` those of the denoiser outside its sites, at every
    evaluation.
    """

    by_kind: Mapping[str, Macs]
    rest: Macs

    @property
    def branches(self) -> Macs:
        """The MACs of all sites, without the rest of the denoiser."""
        return sum(self.by_kind.values(), Macs(0, 0))

    @property
    def linear(self) -> int:
        """The MACs of linear layers and convolutions."""
        return self.branches.linear + self.rest.linear

    @property
    def attention(self) -> int:
        """The MACs of the attention products."""
        return self.branches.attention + self.rest.attention

    @property
    def total(self) -> int:
        """`linear + attention`."""
        return self.linear + self.attention
