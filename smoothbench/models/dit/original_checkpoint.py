"""Translates checkpoints of the original implementation (facebookresearch/DiT) to the names of diffusers."""

import re
from typing import Final

import torch
from torch import Tensor

WHOLE: Final = {
    "x_embedder.proj": "pos_embed.proj",
    "final_layer.adaLN_modulation.1": "proj_out_1",
    "final_layer.linear": "proj_out_2",
}
OF_A_BLOCK: Final = {
    "attn.proj": "attn1.to_out.0",
    "mlp.fc1": "ff.net.0.proj",
    "mlp.fc2": "ff.net.2",
    "adaLN_modulation.1": "norm1.linear",
}
SHARED: Final = {  # diffusers has a copy in each block
    "t_embedder.mlp.0": "norm1.emb.timestep_embedder.linear_1",
    "t_embedder.mlp.2": "norm1.emb.timestep_embedder.linear_2",
    "y_embedder.embedding_table": "norm1.emb.class_embedder.embedding_table",
}
POSITIONS = "pos_embed"


def is_original(state: dict[str, Tensor]) -> bool:
    """Return whether a state dict has the original's names."""
    return "x_embedder.proj.weight" in state


def to_diffusers(state: dict[str, Tensor], positions: Tensor) -> dict[str, Tensor]:
    """Rename tensors to diffusers' names: queries, keys and values apart, a copy of the embedders in each block.

    `positions` [1, tokens, width] is the fixed table of positions of the architecture, the only tensor that tells a
    checkpoint for 512 pixels from one for 256. Raises ValueError where the checkpoint has another table, and for
    names that no DiT has.
    """
    table = state.get(POSITIONS, positions)
    if table.shape != positions.shape or not torch.allclose(table.float(), positions, atol=1e-4):
        raise ValueError(
            f"its positions are of shape {tuple(table.shape)}, the model's of {tuple(positions.shape)} "
            "(of another resolution, or not the fixed ones)"
        )
    depth = len({name.split(".")[1] for name in state if name.startswith("blocks.")})
    named: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if name != POSITIONS:
            named |= _renamed(name, tensor, depth)
    return named


def _renamed(name: str, tensor: Tensor, depth: int) -> dict[str, Tensor]:
    module, _, kind = name.rpartition(".")
    if module in WHOLE:
        return {f"{WHOLE[module]}.{kind}": tensor}
    if module in SHARED:
        return {f"transformer_blocks.{i}.{SHARED[module]}.{kind}": tensor for i in range(depth)}
    block = re.fullmatch(r"blocks\.(\d+)\.(.+)", module)
    if block and block[2] in OF_A_BLOCK:
        return {f"transformer_blocks.{block[1]}.{OF_A_BLOCK[block[2]]}.{kind}": tensor}
    if block and block[2] == "attn.qkv":
        parts = zip("qkv", tensor.chunk(3), strict=True)
        return {f"transformer_blocks.{block[1]}.attn1.to_{letter}.{kind}": part for letter, part in parts}
    raise ValueError(f"{name} is no tensor of a DiT")
