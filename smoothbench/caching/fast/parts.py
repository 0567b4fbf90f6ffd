"""What a fast forward needs of a denoiser: its embedding, its residual branches with their gates, and its head."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from smoothbench.caching.fast.constant_text import of_constant_text
from smoothbench.caching.fast.unchanged import forward_of, unchanged

Inputs = Mapping[str, Any]  # the arguments of a forward, by name


class Use(IntEnum):
    """What a forward runs: nothing, the denoiser's ends alone, also gates of reused branches, or also branches."""

    NOTHING = 0
    ENDS = 1
    GATES = 2
    BRANCHES = 3


class Architecture(ABC):
    """A denoiser of a known class, which a fast forward can take apart.

    Its residual branches are `attributes` of its `blocks`, block by block in order of execution; `paths` lead to them,
    `gated` says of each whether its output is multiplied by a gate, and `bare` whether it reads the stream without a
    norm. `joins` are the branches before which the stream is more than a sum (long skips). `arguments` are the names of
    the denoiser's arguments, in order; only those in `used` may be given. `kinds` are the names of the classes of its
    modules, those inside of branches left out.
    """

    attributes: tuple[str, ...]
    gates: tuple[bool, ...]  # of the branches of one block
    without_norm: tuple[int, ...] = ()  # numbers of branches within their block
    joins: frozenset[int] = frozenset()
    arguments: tuple[str, ...]
    used: frozenset[str]
    kinds: frozenset[str]

    def __init__(self, denoiser: nn.Module) -> None:
        self.denoiser: Any = denoiser
        blocks = dict(self.named_blocks())
        self.blocks: list[Any] = list(blocks.values())
        self.paths = tuple(f"{path}.{name}" for path in blocks for name in self.attributes)
        self.gated = self.gates * len(blocks)
        self.bare = tuple(i % len(self.attributes) in self.without_norm for i in range(len(self.paths)))

    @abstractmethod
    def named_blocks(self) -> Iterator[tuple[str, nn.Module]]:
        """Yield the path of every block and the block, in order of execution."""

    def branches(self) -> list[nn.Module]:
        """Return the modules of the branches, in order of execution."""
        return [block._modules[name] for block in self.blocks for name in self.attributes]

    def is_unchanged(self) -> bool:
        """Return whether every module outside of the branches is as its class made it, so that parts may replace it."""
        same_blocks = all(a is b for a, (_, b) in zip(self.blocks, self.named_blocks(), strict=True))
        return same_blocks and unchanged(self.denoiser, self.branches(), self.kinds) and self.fits()

    @abstractmethod
    def fits(self) -> bool:
        """Return whether the denoiser's settings are those that the parts know."""

    def inputs(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Inputs | None:
        """Return the arguments of a forward by name; None where one is given that the parts do not know."""
        if len(args) > len(self.arguments):
            return None
        given = {**dict(zip(self.arguments, args, strict=False)), **kwargs} if args else kwargs
        if self.used.issuperset(given):
            return given
        return None if any(given[name] is not None for name in given.keys() - self.used) else given

    @abstractmethod
    def takes(self, inputs: Inputs) -> bool:
        """Return whether the parts can answer for inputs of these kinds and shapes."""

    @abstractmethod
    def begin(self, inputs: Inputs, coordinates: Sequence[float]) -> "Parts":
        """Compute what is constant over a sampling run whose first forward has these inputs."""


class Parts(ABC):
    """The parts of a denoiser for one sampling run; what its conditions alone decide is computed once.

    In each forward first comes `embed`, then branches and gates, then `head`.
    """

    constant: Mapping[str, Any]  # the inputs that may not change within the run
    uses: Sequence[Use] = ()  # by evaluation; empty where that is decided at run time
    gates: Sequence[Tensor | None]  # of each branch, [B, 1, width], for the present forward; None: no gate

    def __init__(self, architecture: Architecture, inputs: Inputs, constant: Sequence[str]) -> None:
        self.constant = remembered(inputs, constant)
        self._branches = architecture.branches()
        self.forwards = [forward_of(branch) for branch in self._branches]

    def read_text_once(self, cross_attentions: Sequence[int], text: Tensor) -> None:
        """Have these branches compute keys and values of a text, which all of them read, once in the run."""
        modules = [self._branches[i] for i in cross_attentions]
        forwards = of_constant_text(modules, [self.forwards[i] for i in cross_attentions], text)
        for i, forward in zip(cross_attentions, forwards, strict=True):
            self.forwards[i] = forward

    def holds(self, inputs: Inputs) -> bool:
        """Return whether the constant inputs are those of the run's first forward, without waiting for a device."""
        return all(map(_same, self.constant.values(), map(inputs.get, self.constant)))

    def mistaken(self) -> Tensor | None:
        """Return whether an input was not what it was taken for, a tensor on the device; None where all were read."""
        return None

    @abstractmethod
    def embed(self, e: int, announced: float | None, inputs: Inputs) -> Tensor:
        """Embed the inputs of evaluation `e`; return the stream [B, tokens, width], which the caller may change.

        `announced` is the coordinate that the sampling loop announced, None where it announced none.
        """

    @abstractmethod
    def entering(self, i: int, stream: Tensor) -> Tensor:
        """Return what the module of branch `i` gets of the stream before it: normalised and modulated, of most."""

    def compute(self, i: int, entering: Tensor) -> Tensor:
        """Compute branch `i` of what enters it: its output before the gate."""
        output: Tensor = self.forwards[i](entering)
        return output

    def join(self, i: int, stream: Tensor) -> Tensor:
        """Change the stream before branch `i`, one of the architecture's `joins`; the result is a new tensor."""
        return stream

    @abstractmethod
    def head(self, stream: Tensor, inputs: Inputs) -> Any:
        """Turn the last stream into the denoiser's output, of the type that its own forward returns."""


class SummedParts(Parts):
    """The parts of a denoiser whose branches all have gates that are known ahead, and whose embedding is a linear map.

    What an evaluation reuses can then be added up before it comes: its stream is that sum plus the embedded inputs.
    """

    ground: Tensor  # what the embedding adds to the map of its inputs, [1, tokens, width]

    @abstractmethod
    def rows(self, inputs: Inputs) -> int:
        """Return the number of rows of a forward."""

    @abstractmethod
    def at(self, e: int, announced: float | None, inputs: Inputs) -> bool:
        """Take the modulations of evaluation `e`; return whether its timestep is the one that was planned."""

    @abstractmethod
    def knows_all_gates(self) -> bool:
        """Return whether the gates of all planned evaluations are there already."""

    @abstractmethod
    def gates_at(self, e: int) -> Tensor | None:
        """Return all gates at the planned timestep of an evaluation, [B, branches, 1, width]; None: not known yet."""

    @abstractmethod
    def tokens(self, inputs: Inputs) -> Tensor:
        """Embed the inputs [B, tokens, width]."""

    @abstractmethod
    def onto(self, sums: Tensor, inputs: Inputs) -> Tensor:
        """Embed the inputs, but for `ground`, onto sums [B, tokens, width], which are changed."""

    def embed(self, e: int, announced: float | None, inputs: Inputs) -> Tensor:
        """Take the modulations of evaluation `e`, and embed its inputs."""
        self.at(e, announced, inputs)
        return self.tokens(inputs)


def row_tensors(inputs: Inputs, *names: str) -> list[Tensor] | None:
    """Return these inputs if all are tensors with as many rows, else None."""
    values = [inputs.get(name) for name in names]
    tensors = [value for value in values if isinstance(value, Tensor) and value.ndim]
    return tensors if len(tensors) == len(names) and len(set(map(len, tensors))) == 1 else None


def remembered(inputs: Inputs, names: Sequence[str]) -> dict[str, Any]:
    """Return constant inputs to compare with later ones: copies on a CPU, where an original may change in place."""
    return {name: _copied(inputs.get(name)) for name in names}


class _OnDevice(NamedTuple):
    """A tensor on a device, and how often it had been changed in place when it was remembered."""

    tensor: Tensor
    version: int | None


def _version(tensor: Tensor) -> int | None:
    """The number of changes in place so far; None in inference mode, where torch does not count them."""
    return None if tensor.is_inference() else tensor._version


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.clone() if value.device.type == "cpu" else _OnDevice(value, _version(value))
    if isinstance(value, Mapping):
        return {name: _copied(part) for name, part in value.items()}
    return tuple(map(_copied, value)) if isinstance(value, list | tuple) else value


def _same(known: Any, value: Any) -> bool:
    """Whether an input is the known one; on a device only the very tensor is, unchanged: comparing would wait."""
    if isinstance(known, Tensor):  # the most frequent first
        return isinstance(value, Tensor) and known.dtype == value.dtype and torch.equal(known, value)
    if isinstance(known, Mapping):
        return (
            isinstance(value, Mapping)
            and known.keys() == value.keys()
            and all(_same(part, value[name]) for name, part in known.items())
        )
    if isinstance(known, _OnDevice):
        return known.tensor is value and known.version == _version(value)
    if isinstance(known, tuple):
        return len(known) == len(value or ()) and all(map(_same, known, value))
    return known is value or (not isinstance(value, Tensor) and known == value)
