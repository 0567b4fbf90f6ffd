"""The parts of diffusers' DiTTransformer2DModel (Peebles and Xie 2023), whose blocks are modulated by adaLN-zero.

All modulations depend on timestep and class alone: they are computed for many evaluations at once, for each class once.
"""

from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from smoothbench.caching.fast.adaln_zero import AdaLNZero
from smoothbench.caching.fast.images import Patches, from_patches, output_of
from smoothbench.caching.fast.modulation import SIX, modulated
from smoothbench.caching.fast.parts import Architecture, Inputs, Parts, SummedParts, Use, row_tensors
from smoothbench.caching.fast.timesteps import on_device, shared_timestep

# bytes of modulations, which are computed for so many evaluations ahead as fit
KEPT_FOR_A_CLASS: Final = 2**24
KEPT_FOR_ALL: Final = 2**28  # over all classes of a batch


class DiT(Architecture):
    """DiTTransformer2DModel with adaLN-zero blocks of self-attention and feed-forward."""

    arguments = ("hidden_states", "timestep", "class_labels", "cross_attention_kwargs", "return_dict")
    used = frozenset({"hidden_states", "timestep", "class_labels", "return_dict"})
    kinds = frozenset(
        {
            "DiTTransformer2DModel",
            "PatchEmbed",
            "Conv2d",
            "ModuleList",
            "BasicTransformerBlock",
            "AdaLayerNormZero",
            "CombinedTimestepLabelEmbeddings",
            "Timesteps",
            "TimestepEmbedding",
            "LabelEmbedding",
            "Embedding",
            "Linear",
            "SiLU",
            "LayerNorm",
        }
    )

    attributes = ("attn1", "ff")
    gates = (True, True)

    def named_blocks(self) -> Iterator[tuple[str, nn.Module]]:
        """Yield the path of every block and the block."""
        return ((f"transformer_blocks.{n}", b) for n, b in enumerate(self.denoiser.transformer_blocks))

    def fits(self) -> bool:
        """Return whether all blocks are adaLN-zero blocks of two branches, and the embedding is a plain one."""
        return Patches.know(self.denoiser.pos_embed) and all(map(_is_adaln_zero, self.blocks))

    def takes(self, inputs: Inputs) -> bool:
        """Return whether there are pictures of the model's own size, and a timestep and a class for each."""
        rows = row_tensors(inputs, "hidden_states", "timestep", "class_labels")
        if rows is None or not Patches.take(self.denoiser.pos_embed, rows[0]):
            return False
        return rows[1].ndim == rows[2].ndim == 1

    def begin(self, inputs: Inputs, coordinates: Sequence[float]) -> Parts:
        """Number the distinct classes; modulations follow with the first evaluation."""
        return _DiTParts(self, inputs, coordinates)


class _DiTParts(SummedParts):
    def __init__(self, architecture: DiT, inputs: Inputs, coordinates: Sequence[float]) -> None:
        super().__init__(architecture, inputs, ["class_labels"])
        self._denoiser, self._blocks = architecture.denoiser, architecture.blocks
        self._norms = [norm for block in self._blocks for norm in (block.norm1.norm, block.norm3)]
        self._embed, embedding = Patches(self._denoiser.pos_embed), self._denoiser.pos_embed
        self._grid = (embedding.height, embedding.width)
        self._last_norm, self._last = self._denoiser.norm_out, self._denoiser.proj_out_2
        self._classes, self._rows = _distinct(inputs["class_labels"])
        self._coordinates = tuple(coordinates)
        self._adaln = AdaLNZero(self._denoiser, self._blocks)
        self._modulations: dict[float, _Modulations] = {}  # by timestep, of the evaluations computed ahead
        self._mistaken: Tensor | None = None
        self.ground = self._embed.ground
        self._inner: Tensor | None = None  # the modulations of the present forward
        self._gates: Sequence[Tensor] = ()  # taken from those
        self._of_branches: Sequence[Tensor] = ()  # shift and scale of each, too
        self._of_head: Sequence[Tensor] = ()

    def rows(self, inputs: Inputs) -> int:
        """Return the number of pictures."""
        return len(inputs["hidden_states"])

    def at(self, e: int, announced: float | None, inputs: Inputs) -> bool:
        """Take the modulations of this evaluation."""
        timestep = shared_timestep(inputs["timestep"], announced)
        every, number, shift, scale = self._modulations_at(e, timestep, announced, inputs)
        self._inner = every[number]
        self._gates = self._of_branches = ()
        self._of_head = (shift, scale) if self._rows is None else (self._of_rows(shift), self._of_rows(scale))
        return self._coordinates[e : e + 1] == (timestep,)

    @property
    def gates(self) -> Sequence[Tensor]:  # type: ignore[override]  # mypy takes it for read-only
        """The gates of all branches in the present forward."""
        if not self._gates and self._inner is not None:
            self._gates = self._of_rows(self._only_gates(self._inner)).unbind(1)
        return self._gates

    def knows_all_gates(self) -> bool:
        """Return whether all planned timesteps were computed ahead."""
        return all(map(self._modulations.__contains__, self._coordinates))

    def gates_at(self, e: int) -> Tensor | None:
        """Return all gates at the planned timestep of an evaluation."""
        known = self._modulations.get(self._coordinates[e])
        return None if known is None else self._of_rows(self._only_gates(known.all[known.number]))

    def tokens(self, inputs: Inputs) -> Tensor:
        """Embed the patches."""
        return self._embed(inputs["hidden_states"])

    def onto(self, sums: Tensor, inputs: Inputs) -> Tensor:
        """Embed the patches onto sums that have bias and positions in them."""
        return self._embed.onto(sums, inputs["hidden_states"])

    def entering(self, i: int, stream: Tensor) -> Tensor:
        """Normalise and modulate the stream."""
        if not self._of_branches:  # the first that this evaluation computes
            assert self._inner is not None
            self._of_branches = self._of_rows(self._inner).unbind(1)
        shift, scale = self._of_branches[3 * i], self._of_branches[3 * i + 1]
        return modulated(stream, self._norms[i], shift, scale)

    def head(self, stream: Tensor, inputs: Inputs) -> Any:
        """Modulate and project the stream, and put the patches together."""
        normal = modulated(stream, self._last_norm, *self._of_head)
        tokens = F.linear(normal, self._last.weight, self._last.bias)
        sample = from_patches(tokens, self._embed.size, *self._grid)
        return output_of(self._denoiser, sample, inputs.get("return_dict", True))

    def mistaken(self) -> Tensor | None:
        """Return whether the first announced coordinate was not the timestep, where that lies on a device."""
        return self._mistaken

    def _of_rows(self, modulations: Tensor) -> Tensor:
        """Modulations [classes, ...] of every row, [B, ...]."""
        if self._rows is not None and len(modulations) != len(self._rows):
            modulations = modulations.index_select(0, self._rows)
        return modulations

    def _only_gates(self, modulations: Tensor) -> Tensor:
        """The gates among the modulations [classes, n, 1, width] of an evaluation."""
        of_blocks = modulations[:, :-2]
        return of_blocks[:, 2::3] if of_blocks.shape[1] == SIX * len(self._blocks) else of_blocks

    def _modulations_at(
        self, e: int, timestep: float | None, announced: float | None, inputs: Inputs
    ) -> "_Modulations":
        """The modulations at a timestep, of which evaluation `e` is the first one that asks."""
        was_read = announced is None or inputs["timestep"].device.type == "cpu"
        if self._mistaken is None and not was_read:
            self._mistaken = (inputs["timestep"] != announced).any()  # looked at when the run is over
        if timestep is None:  # rows at timesteps of their own
            of_rows = self._adaln.of_each_row(inputs["timestep"], inputs["class_labels"])
            return _Modulations(of_rows[None], 0, of_rows[:, -2], of_rows[:, -1])
        known = self._modulations.get(timestep)
        if known is None:
            self._forget_modulations()  # before there are others
            ahead = self._ahead(e, timestep)
            together = on_device([at for timesteps in ahead.values() for at in timesteps], inputs["timestep"])
            computed = self._adaln(together, self._classes, {use: len(of) for use, of in ahead.items()})
            for use, timesteps in ahead.items():
                every = computed[use]
                heads = every[:, :, -2].unbind(0), every[:, :, -1].unbind(0)
                of_timesteps = map(_Modulations, repeat(every), range(len(timesteps)), *heads)
                self._modulations |= dict(zip(timesteps, of_timesteps, strict=True))
            known = self._modulations[timestep]
        return known

    def _ahead(self, e: int, timestep: float) -> dict[Use, list[float]]:
        """The timesteps whose modulations are computed together, from that of evaluation `e` on, by their use."""
        at_once = max(1, min(KEPT_FOR_A_CLASS, KEPT_FOR_ALL // len(self._classes)) // self._adaln.row_bytes)
        ahead = list(self._coordinates[e : e + at_once])
        if ahead[:1] != [timestep]:  # where the grid is not the one planned for
            return {Use.BRANCHES: [timestep]}
        needed: dict[float, Use] = {}  # by all evaluations at a timestep, which may lie beyond
        for at, use in zip(self._coordinates[e:], self.uses[e:] or repeat(Use.BRANCHES), strict=False):
            needed[at] = max(use, needed.get(at, use))
        uses = {at: needed[at] for at in ahead}
        return {use: [at for at in uses if uses[at] is use] for use in set(uses.values()) - {Use.NOTHING}}

    def _forget_modulations(self) -> None:
        self._modulations, self._inner = {}, None
        self._gates = self._of_branches = self._of_head = ()


class _Modulations(NamedTuple):
    """The modulations at one timestep: that of this number among `all` [timesteps, classes, n, 1, width].

    Those of the blocks that the timestep needs come first, then the head's, whose shift and scale [classes, 1, width]
    are there once more.
    """

    all: Tensor
    number: int
    shift: Tensor
    scale: Tensor


def _distinct(labels: Tensor) -> tuple[Tensor, Tensor | None]:
    """Distinct labels, and the number of each row's; None where they are the rows' own, as on a device always."""
    if labels.device.type != "cpu":
        return labels, None
    values = labels.tolist()  # in a tenth of the time that `unique` takes
    classes = sorted(set(values))
    if len(classes) == len(values):
        return labels, None
    number = {label: n for n, label in enumerate(classes)}
    return labels.new_tensor(classes), torch.tensor([number[value] for value in values])


def _is_adaln_zero(block: Any) -> bool:
    no_extras = block.attn2 is None and block.pos_embed is None and not hasattr(block, "fuser")
    return (
        block.norm_type == "ada_norm_zero"
        and no_extras
        and not block.only_cross_attention
        and (block._chunk_size is None)
    )
