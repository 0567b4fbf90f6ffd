"""The parts of diffusers' DiTTransformer2DModel (Peebles and Xie 2023), whose blocks are modulated by adaLN-zero.

All modulations depend on timestep and class alone: they are computed for many evaluations at once, for each class once.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from smoothbench.caching.fast.images import Patches, from_patches, output_of
from smoothbench.caching.fast.modulation import SIX, modulated
from smoothbench.caching.fast.parts import Architecture, Inputs, Parts, row_tensors
from smoothbench.caching.fast.timesteps import on_device, shared_timestep

# bytes of modulations, which are computed for so many evaluations ahead as fit
KEPT_FOR_A_CLASS: Final = 2**24
KEPT_FOR_ALL: Final = 2**28  # over all classes of a batch
ENOUGH: Final = 8  # rows of a product: fewer are rounded otherwise, and a sample would depend on its batch


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


class _DiTParts(Parts):
    def __init__(self, architecture: DiT, inputs: Inputs, coordinates: Sequence[float]) -> None:
        super().__init__(architecture, inputs, ["class_labels"])
        self._denoiser, self._blocks = architecture.denoiser, architecture.blocks
        self._norms = [norm for block in self._blocks for norm in (block.norm1.norm, block.norm3)]
        self._embed, embedding = Patches(self._denoiser.pos_embed), self._denoiser.pos_embed
        self._grid = (embedding.height, embedding.width)
        self._last_norm, self._last = self._denoiser.norm_out, self._denoiser.proj_out_2
        self._classes, self._rows = _distinct(inputs["class_labels"])
        self._coordinates = coordinates
        self._modulations: dict[float, Tensor] = {}  # by timestep, of the evaluations computed ahead
        self._mistaken: Tensor | None = None
        self._inner: Tensor | None = None  # the modulations of the present forward
        self._of_branches: Sequence[Tensor] = ()  # shift and scale of each, taken from those
        self._of_head: Sequence[Tensor] = ()

    def embed(self, e: int, announced: float | None, inputs: Inputs) -> Tensor:
        """Embed the patches, and take the modulations of this evaluation."""
        modulations = self._modulations_at(e, announced, inputs)
        head = 3 * len(self.forwards)
        self.gates = self._of_rows(modulations[:, 2:head:3])
        self._of_head = self._of_rows(modulations[:, head:])
        self._inner, self._of_branches = modulations, ()
        return self._embed(inputs["hidden_states"])

    def branch(self, i: int, stream: Tensor) -> Tensor:
        """Normalise and modulate the stream, and run self-attention or feed-forward on it."""
        if not self._of_branches:  # the first that this evaluation computes
            assert self._inner is not None
            self._of_branches = self._of_rows(self._inner)
        shift, scale = self._of_branches[3 * i], self._of_branches[3 * i + 1]
        return self.forwards[i](modulated(stream, self._norms[i], shift, scale))

    def head(self, stream: Tensor, inputs: Inputs) -> Any:
        """Modulate and project the stream, and put the patches together."""
        normal = modulated(stream, self._last_norm, *self._of_head)
        tokens = F.linear(normal, self._last.weight, self._last.bias)
        sample = from_patches(tokens, self._embed.size, *self._grid)
        return output_of(self._denoiser, sample, inputs.get("return_dict", True))

    def mistaken(self) -> Tensor | None:
        """Return whether the announced coordinate was not the timestep, where that lies on a device."""
        return self._mistaken

    def _of_rows(self, modulations: Tensor) -> tuple[Tensor, ...]:
        """Modulations [classes, n, 1, width] as n tensors [B, 1, width]."""
        if self._rows is not None and len(modulations) != len(self._rows):
            modulations = modulations.index_select(0, self._rows)
        return modulations.unbind(1)

    def _modulations_at(self, e: int, announced: float | None, inputs: Inputs) -> Tensor:
        """The modulations [classes, 6 L + 2, 1, width] at a timestep: those of L blocks, then of the head."""
        timestep = shared_timestep(inputs["timestep"], announced)
        was_read = announced is None or inputs["timestep"].device.type == "cpu"
        if self._mistaken is None and not was_read:
            self._mistaken = (inputs["timestep"] != announced).any()  # looked at when the run is over
        if timestep is None:  # rows at timesteps of their own
            return _of_each_row(self._denoiser, self._blocks, inputs)
        known = self._modulations.get(timestep)
        if known is None:
            self._forget_modulations()  # before there are others
            timesteps = self._ahead(e, timestep)
            on_it = on_device(timesteps, inputs["timestep"])
            computed = _modulations(self._denoiser, self._blocks, on_it, self._classes)
            self._modulations = dict(zip(timesteps, computed.unbind(0), strict=True))
            known = self._modulations[timestep]
        return known

    def _ahead(self, e: int, timestep: float) -> list[float]:
        """The timesteps whose modulations are computed together, from that of evaluation `e` on."""
        width, size = self._denoiser.inner_dim, self._denoiser.proj_out_1.weight.element_size()
        of_a_class = (SIX * len(self._blocks) + 2) * width * size
        at_once = max(1, min(KEPT_FOR_A_CLASS, KEPT_FOR_ALL // len(self._classes)) // of_a_class)
        ahead = list(self._coordinates[e : e + at_once])
        return ahead if ahead[:1] == [timestep] else [timestep]  # where the grid is not the one planned for

    def _forget_modulations(self) -> None:
        self._modulations, self._inner = {}, None
        self.gates = self._of_branches = self._of_head = ()


def _modulations(denoiser: Any, blocks: Sequence[Any], timesteps: Tensor, classes: Tensor) -> Tensor:
    """Modulations of timesteps [K] and classes [U], [K, U, 6 L + 2, 1, width]; 1 is added to scales."""
    width, parts, dtype = denoiser.inner_dim, SIX * len(blocks) + 2, denoiser.proj_out_1.weight.dtype
    rows = len(timesteps) * len(classes)
    together = torch.empty(max(rows, ENOUGH), parts * width, dtype=dtype, device=timesteps.device)
    enough = _repeated(timesteps)
    features = [_features(block, enough, dtype) for block in _distinct_frequencies(blocks)]
    for number, block in enumerate(blocks):
        embedder = block.norm1.emb
        time = embedder.timestep_embedder.forward(features[number % len(features)])[: len(timesteps)]
        label = embedder.class_embedder.embedding_table.forward(classes)
        condition = _repeated(F.silu(time[:, None] + label).view(rows, width))
        if number == 0:
            _linear(denoiser.proj_out_1, condition, together[:, SIX * len(blocks) * width :])
        place = SIX * width * number
        _linear(block.norm1.linear, condition, together[:, place : place + SIX * width])
    return together[:rows].view(len(timesteps), len(classes), parts, 1, width)


def _repeated(rows: Tensor) -> Tensor:
    """Rows [n, ...] of a product; where they are too few, they are repeated in turns."""
    if len(rows) >= ENOUGH:
        return rows
    return rows.index_select(0, torch.arange(ENOUGH, device=rows.device) % len(rows))


def _of_each_row(denoiser: Any, blocks: Sequence[Any], inputs: Inputs) -> Tensor:
    """Modulations of rows that have a timestep and a class each, [B, 6 L + 2, 1, width]."""
    pairs = zip(inputs["timestep"].split(1), inputs["class_labels"].split(1), strict=True)
    return torch.cat([_modulations(denoiser, blocks, timestep, label)[0] for timestep, label in pairs])


def _features(block: Any, timesteps: Tensor, dtype: torch.dtype) -> Tensor:
    features: Tensor = block.norm1.emb.time_proj.forward(timesteps).to(dtype)
    return features


def _distinct_frequencies(blocks: Sequence[Any]) -> Sequence[Any]:
    """The first block alone where all have the same frequencies of the timestep, else all blocks."""

    def settings(block: Any) -> tuple[Any, ...]:
        frequencies = block.norm1.emb.time_proj
        return (
            frequencies.num_channels,
            frequencies.flip_sin_to_cos,
            frequencies.downscale_freq_shift,
            frequencies.scale,
        )

    return blocks[:1] if len(set(map(settings, blocks))) == 1 else blocks


def _linear(layer: nn.Linear, condition: Tensor, out: Tensor) -> None:
    """Write a linear layer's output to `out` [rows, parts * width]; every third part, a scale, gets 1 added."""
    together = torch.zeros_like(layer.bias).view(-1, condition.shape[1])
    together[1::3] = 1
    torch.addmm(layer.bias + together.flatten(), condition, layer.weight.t(), out=out)


def _distinct(labels: Tensor) -> tuple[Tensor, Tensor | None]:
    """Distinct labels, and the number of each row's; None where they are the rows' own, as on a device always."""
    if labels.device.type != "cpu":
        return labels, None
    classes, rows = labels.unique(return_inverse=True)
    return (labels, None) if len(classes) == len(labels) else (classes, rows)


def _is_adaln_zero(block: Any) -> bool:
    no_extras = block.attn2 is None and block.pos_embed is None and not hasattr(block, "fuser")
    return (
        block.norm_type == "ada_norm_zero"
        and no_extras
        and not block.only_cross_attention
        and (block._chunk_size is None)
    )
