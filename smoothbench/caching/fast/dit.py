"""The parts of diffusers' DiTTransformer2DModel (Peebles and Xie 2023), whose blocks are modulated by adaLN-zero.

All modulations depend on timestep and class alone: they are computed for many evaluations at once, for each class once.
"""

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from smoothbench.caching.fast.images import (
    fits_patches,
    flat_weight,
    from_patches,
    modulated,
    output_of,
    plain_embedding,
    to_patches,
)
from smoothbench.caching.fast.parts import Architecture, Inputs, Parts, remembered
from smoothbench.caching.fast.timesteps import on_device, shared_timestep
from smoothbench.caching.fast.unchanged import forward_of

KEPT_FOR_A_CLASS: Final = 2**24  # bytes of modulations, computed for so many evaluations ahead as fit
GATES: Final = (2, 5)  # places of the gates among the six modulations of a block
SHIFTS_AND_SCALES: Final = (0, 1, 3, 4)


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

    def __init__(self, denoiser: nn.Module) -> None:
        super().__init__(denoiser)
        self.blocks: list[Any] = list(self.denoiser.transformer_blocks)
        branches = [(n, name) for n in range(len(self.blocks)) for name in ("attn1", "ff")]
        self.paths = tuple(f"transformer_blocks.{n}.{name}" for n, name in branches)
        self.gated = (True,) * len(self.paths)

    def fits(self) -> bool:
        """Return whether all blocks are adaLN-zero blocks of two branches, and the embedding is a plain one."""
        return (
            plain_embedding(self.denoiser.pos_embed)
            and list(self.denoiser.transformer_blocks) == self.blocks
            and all(_is_adaln_zero(block) for block in self.blocks)
        )

    def takes(self, inputs: Inputs) -> bool:
        """Return whether there are pictures of the model's own size, and a timestep and a class for each."""
        pictures, timestep, labels = (inputs.get(n) for n in ("hidden_states", "timestep", "class_labels"))
        return (
            fits_patches(self.denoiser.pos_embed, pictures)
            and pictures.dtype == self.denoiser.proj_out_2.weight.dtype
            and isinstance(timestep, Tensor)
            and isinstance(labels, Tensor)
            and timestep.ndim == 1
            and timestep.shape == labels.shape == pictures.shape[:1]
        )

    def begin(self, inputs: Inputs, coordinates: Sequence[float]) -> Parts:
        """Number the distinct classes; modulations follow with the first evaluation."""
        return _DiTParts(self, inputs, coordinates)


class _DiTParts(Parts):
    def __init__(self, architecture: DiT, inputs: Inputs, coordinates: Sequence[float]) -> None:
        self.constant = remembered(inputs, ["class_labels"])
        self._denoiser, self._blocks = architecture.denoiser, architecture.blocks
        self._norms = [norm for block in self._blocks for norm in (block.norm1.norm, block.norm3)]
        self._branches = [forward_of(branch) for block in self._blocks for branch in (block.attn1, block.ff)]
        embedding = self._denoiser.pos_embed
        self._projection, self._bias = flat_weight(embedding.proj), embedding.proj.bias
        self._positions, self._patch = embedding.pos_embed, embedding.patch_size
        self._classes, self._rows = _distinct(inputs["class_labels"])
        self._coordinates = coordinates
        self._modulations: dict[float, Tensor] = {}  # by timestep, of the evaluations computed ahead
        self._now: Sequence[Tensor] = ()

    def embed(self, e: int, coordinate: float | None, inputs: Inputs) -> Tensor:
        """Embed the patches, and take the modulations of this evaluation."""
        modulations = self._modulations_at(e, shared_timestep(inputs["timestep"], coordinate), inputs)
        if self._rows is not None:
            modulations = modulations.index_select(1, self._rows)
        self._now = modulations.unbind(0)
        self.gates = self._now
        patches = to_patches(inputs["hidden_states"], self._patch)
        tokens = F.linear(patches, self._projection, self._bias)
        return torch.add(tokens, self._positions).to(tokens.dtype)

    def branch(self, i: int, stream: Tensor) -> Tensor:
        """Normalise and modulate the stream, and run self-attention or feed-forward on it."""
        place = len(self._branches) + 2 + 2 * i
        shift, scale = self._now[place], self._now[place + 1]
        return self._branches[i](modulated(stream, self._norms[i], shift, scale))

    def head(self, stream: Tensor, inputs: Inputs) -> Any:
        """Modulate and project the stream, and put the patches together."""
        denoiser, place = self._denoiser, len(self._branches)
        normal = modulated(stream, denoiser.norm_out, self._now[place], self._now[place + 1])
        tokens = denoiser.proj_out_2.forward(normal)
        height, width = (side // self._patch for side in inputs["hidden_states"].shape[2:])
        sample = from_patches(tokens, self._patch, height, width)
        return output_of(denoiser, sample, inputs.get("return_dict", True))

    def _modulations_at(self, e: int, timestep: float | None, inputs: Inputs) -> Tensor:
        """All modulations [2 L gates, 2 of the head, 4 L of the branches; classes, 1, width] at a timestep."""
        if timestep is None:  # rows at timesteps of their own
            return _modulations(self._denoiser, self._blocks, inputs["timestep"][:1], self._classes)[0]
        known = self._modulations.get(timestep)
        if known is None:
            ahead = self._coordinates[e : e + self._at_once()]
            timesteps = list(ahead) if timestep == next(iter(ahead), None) else [timestep]
            computed = _modulations(
                self._denoiser, self._blocks, on_device(timesteps, inputs["timestep"]), self._classes
            )
            self._modulations = dict(zip(timesteps, computed.unbind(0), strict=True))
            known = self._modulations[timestep]
        return known

    def _at_once(self) -> int:
        """How many evaluations are computed together: whatever classes share a batch, so that none depends on it."""
        width, weight = self._positions.shape[-1], self._denoiser.proj_out_1.weight
        return max(1, KEPT_FOR_A_CLASS // ((6 * len(self._blocks) + 2) * width * weight.element_size()))


def _modulations(denoiser: Any, blocks: Sequence[Any], timesteps: Tensor, classes: Tensor) -> Tensor:
    """Modulations of timesteps [K] and classes [U], [K, 6 L + 2, U, 1, width]; 1 is added to scales."""
    width, sites = denoiser.inner_dim, 2 * len(blocks)
    shape = (len(timesteps), 3 * sites + 2, len(classes), 1, width)
    together = torch.empty(shape, dtype=denoiser.proj_out_1.weight.dtype, device=timesteps.device)
    for number, block in enumerate(blocks):
        condition = _condition(block.norm1.emb, timesteps, classes, together.dtype)
        if number == 0:
            head = denoiser.proj_out_1.forward(condition)
            _place(together, sites, head, width, (0, 1))
        six = block.norm1.linear.forward(condition)
        _place(together, 2 * number, six, width, GATES)
        _place(together, sites + 2 + 4 * number, six, width, SHIFTS_AND_SCALES)
    together[:, sites + 1 :: 2] += 1
    return together


def _condition(embedder: Any, timesteps: Tensor, classes: Tensor, dtype: torch.dtype) -> Tensor:
    """The activated embedding of timesteps and classes, [U, K, width]."""
    time = embedder.timestep_embedder.forward(embedder.time_proj.forward(timesteps).to(dtype))
    label = embedder.class_embedder.embedding_table.forward(classes)
    return F.silu(time[None] + label[:, None])


def _place(together: Tensor, place: int, values: Tensor, width: int, chosen: Sequence[int]) -> None:
    """Write chosen parts of values [U, K, parts * width] to consecutive places."""
    parts = values.unflatten(-1, (-1, width)).permute(1, 2, 0, 3)
    for number, part in enumerate(chosen):
        together[:, place + number, :, 0] = parts[:, part]


def _distinct(labels: Tensor) -> tuple[Tensor, Tensor | None]:
    """Distinct labels, and the number of each row's; None where they are the rows' own, as on a device always."""
    if labels.device.type != "cpu":
        return labels, None
    classes, rows = labels.unique(return_inverse=True)
    return (labels, None) if len(classes) == len(labels) else (classes, rows)


def _is_adaln_zero(block: Any) -> bool:
    no_extras = block.attn2 is None and block.pos_embed is None and not hasattr(block, "fuser")
    return block.norm_type == "ada_norm_zero" and no_extras and not block.only_cross_attention and (
        block._chunk_size is None
    )
