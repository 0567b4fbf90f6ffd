"""The parts of diffusers' StableAudioDiTModel (Evans et al. 2024, arXiv 2407.14358): blocks of three ungated branches.

Time reaches the blocks by a token alone, so little depends on the evaluation; prompts are projected once a run.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from smoothbench.caching.fast.images import output_of
from smoothbench.caching.fast.parts import Architecture, Inputs, Parts, row_tensors
from smoothbench.caching.fast.timesteps import TimeEmbeddings

CONDITIONS = ("encoder_hidden_states", "global_hidden_states", "rotary_embedding")
NORMS = ("norm1", "norm2", "norm3")  # that feed the three branches


class StableAudio(Architecture):
    """StableAudioDiTModel without masks, as its pipeline calls it."""

    arguments = (
        "hidden_states",
        "timestep",
        "encoder_hidden_states",
        "global_hidden_states",
        "rotary_embedding",
        "return_dict",
        "attention_mask",
        "encoder_attention_mask",
    )
    used = frozenset(arguments[:-2])
    kinds = frozenset(
        {
            "StableAudioDiTModel",
            "StableAudioGaussianFourierProjection",
            "Sequential",
            "Linear",
            "SiLU",
            "Conv1d",
            "ModuleList",
            "StableAudioDiTBlock",
            "LayerNorm",
        }
    )

    attributes = ("attn1", "attn2", "ff")
    gates = (False, False, False)

    def named_blocks(self) -> Iterator[tuple[str, nn.Module]]:
        """Yield the path of every block and the block."""
        return ((f"transformer_blocks.{n}", b) for n, b in enumerate(self.denoiser.transformer_blocks))

    def fits(self) -> bool:
        """Return whether no block computes its feed-forward in chunks."""
        return all(block._chunk_size is None for block in self.blocks)

    def takes(self, inputs: Inputs) -> bool:
        """Return whether latents, prompt and global states are there, in the model's dtype, one for each row.

        The time is one for each row, or one for all of them, as its pipeline gives it.
        """
        rows, timestep = row_tensors(inputs, "hidden_states", *CONDITIONS[:2]), inputs.get("timestep")
        if rows is None or not isinstance(timestep, Tensor) or timestep.ndim != 1:
            return False
        latents, states, overall = rows
        dtypes = {latents.dtype, states.dtype, overall.dtype, self.denoiser.proj_in.weight.dtype}
        is_for_all = len(timestep) in (1, len(latents))
        return len(dtypes) == 1 and is_for_all and latents.ndim == 3 and overall.shape[1] == 1

    def begin(self, inputs: Inputs, coordinates: Sequence[float]) -> Parts:
        """Project the prompts and the global states, and join the layers at either end into one product each."""
        return _StableAudioParts(self, inputs, coordinates)


class _StableAudioParts(Parts):
    def __init__(self, architecture: StableAudio, inputs: Inputs, coordinates: Sequence[float]) -> None:
        super().__init__(architecture, inputs, CONDITIONS)
        denoiser = self._denoiser = architecture.denoiser
        self.gates = (None,) * len(architecture.paths)
        self._norms = [getattr(block, norm) for block in architecture.blocks for norm in NORMS]
        self._prompt = denoiser.cross_attention_proj.forward(inputs["encoder_hidden_states"])
        self.read_text_once(range(1, len(self.forwards), 3), self._prompt)
        self._overall = denoiser.global_proj.forward(inputs["global_hidden_states"])
        self._arguments: tuple[dict[str, Any], ...] = (
            {"rotary_emb": inputs.get("rotary_embedding")},
            {"encoder_hidden_states": self._prompt},
            {},
        )
        dtype = denoiser.proj_in.weight.dtype
        # a convolution over single frames that is added to its input, before a linear layer and after another
        self._enter = _product(
            denoiser.proj_in.weight.float(), _plus_one(denoiser.preprocess_conv.weight), dtype
        )
        self._leave = _product(
            _plus_one(denoiser.postprocess_conv.weight), denoiser.proj_out.weight.float(), dtype
        )

        self._times = TimeEmbeddings(self._time_embeddings, coordinates, inputs["timestep"])

    def _time_embeddings(self, timesteps: Tensor) -> tuple[Tensor]:
        features = self._denoiser.time_proj.forward(timesteps.to(self._enter.dtype))
        return (self._denoiser.timestep_proj.forward(features)[:, None],)

    def embed(self, e: int, announced: float | None, inputs: Inputs) -> Tensor:
        """Project the latents, behind the token of time and global states."""
        (time,) = self._times(inputs["timestep"])
        token = self._overall + time
        return torch.cat([token, F.linear(inputs["hidden_states"].transpose(1, 2), self._enter)], 1)

    def entering(self, i: int, stream: Tensor) -> Tensor:
        """Normalise the stream."""
        norm = self._norms[i]
        return torch.layer_norm(stream, norm.normalized_shape, norm.weight, norm.bias, norm.eps)

    def compute(self, i: int, entering: Tensor) -> Tensor:
        """Run self-attention, cross-attention to the prompts, or feed-forward."""
        output: Tensor = self.forwards[i](entering, **self._arguments[i % 3])
        return output

    def head(self, stream: Tensor, inputs: Inputs) -> Any:
        """Project the tokens of the latents, channels first."""
        sample = torch.matmul(self._leave, stream[:, 1:].transpose(1, 2))
        return output_of(self._denoiser, sample, inputs.get("return_dict", True))


def _plus_one(weight: Tensor) -> Tensor:
    """The matrix of a convolution over single frames plus its input, in float32."""
    return weight[:, :, 0].float() + torch.eye(len(weight), device=weight.device)


def _product(first: Tensor, second: Tensor, dtype: torch.dtype) -> Tensor:
    """The matrix of two linear layers, the second one first."""
    return (first @ second).to(dtype)
