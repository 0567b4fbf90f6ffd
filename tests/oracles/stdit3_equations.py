"""A tiny STDiT3 with inputs, and its equations written anew, float64."""

import cmath
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from smoothbench.models.opensora.stdit3 import STDiT3

TINY = {
    "hidden_size": 32,
    "depth": 2,
    "num_heads": 4,
    "caption_channels": 8,
    "model_max_length": 6,
    "input_sq_size": 16,
}
Inputs = dict[str, Any]


def tiny(**changes: Any) -> STDiT3:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = STDiT3(**{**TINY, **changes}).eval().requires_grad_(False)
        for norm in (m for m in model.modules() if isinstance(m, nn.RMSNorm)):
            norm.weight.uniform_(0.5, 2)
    return model


def inputs(rows: int = 2, frames: int = 3, height: int = 4, width: int = 6, seed: int = 1) -> Inputs:
    generator = torch.Generator().manual_seed(seed)
    return {
        "x": torch.randn(rows, 4, frames, height, width, generator=generator),
        "timestep": torch.linspace(900.5, 30, rows),
        "y": torch.randn(rows, 1, 6, 8, generator=generator),
        "mask": torch.arange(6) < torch.randint(2, 6, (rows, 1), generator=generator),
        "fps": torch.linspace(8, 24, rows),
        "height": 8.0 * height,
        "width": 8.0 * width,
    }


def rows_of(batch: Inputs) -> list[Inputs]:
    count = len(batch["x"])
    return [{k: v[i] if isinstance(v, Tensor) else v for k, v in batch.items()} for i in range(count)]


def gelu(x: Tensor) -> Tensor:
    return x / 2 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def waves(values: Tensor) -> Tensor:
    """256 features of one number."""
    angles = [values.double() / 10_000 ** (i / 128) for i in range(128)]
    return torch.stack([a.cos() for a in angles] + [a.sin() for a in angles])


def place(row: int, column: int, rows: int, columns: int, d: int, scale: float) -> Tensor:
    base = round(math.sqrt(rows * columns))
    across, down = column / scale * base / columns, row / scale * base / rows
    frequencies = [10_000 ** (-2 * j / (d // 2)) for j in range(d // 4)]
    angles = torch.tensor([[at * f for f in frequencies] for at in (across, down)])
    return torch.stack([angles.sin(), angles.cos()], 1).flatten()


def turned(x: Tensor) -> Tensor:
    """Rotary angles on x [frames, head]: pairs of neighbours as complex numbers."""
    head = x.shape[1]
    turn = [[cmath.exp(1j * t * 10_000 ** (-2 * j / head)) for j in range(head // 2)] for t in range(len(x))]
    pairs = torch.complex(x[:, ::2], x[:, 1::2]) * torch.tensor(turn, dtype=torch.complex128)
    return torch.stack([pairs.real, pairs.imag], 2).flatten(1)


def norm(x: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt()


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ k.T / math.sqrt(q.shape[1])).softmax(1) @ v


def silu(x: Tensor) -> Tensor:
    return x * x.sigmoid()


@dataclass(frozen=True)
class Layers:
    """The layers of a model by the paths of their weights, head by head."""

    w: dict[str, Tensor]
    width: int
    heads: int

    def layer(self, x: Tensor, path: str) -> Tensor:
        return x @ self.w[f"{path}.weight"].double().flatten(1).T + self.w[f"{path}.bias"]

    def mlp(self, x: Tensor, first: str, second: str, act: Callable[[Tensor], Tensor]) -> Tensor:
        return self.layer(act(self.layer(x, first)), second)

    def rms(self, x: Tensor, path: str) -> Tensor:
        return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * self.w[f"{path}.weight"]

    def channels(self) -> tuple[Tensor, ...]:
        """The channels of each head."""
        return torch.arange(self.width).split(self.width // self.heads)

    def self_attention(self, x: Tensor, path: str, temporal: bool) -> Tensor:
        out = torch.empty_like(x)
        for head in self.channels():
            q, k, v = (part[..., head] for part in self.layer(x, f"{path}.qkv").split(self.width, -1))
            q, k = self.rms(q, f"{path}.q_norm"), self.rms(k, f"{path}.k_norm")
            for i in range(x.shape[1] if temporal else len(x)):
                at = (slice(None), i) if temporal else (i,)
                a, b = (turned(q[at]), turned(k[at])) if temporal else (q[at], k[at])
                group = out[at]
                group[:, head] = attend(a, b, v[at])
        return self.layer(out, f"{path}.proj")

    def cross_attention(self, x: Tensor, text: Tensor, path: str) -> Tensor:
        q, kv = self.layer(x.flatten(0, 1), f"{path}.q_linear"), self.layer(text, f"{path}.kv_linear")
        k, v = kv[:, : self.width], kv[:, self.width :]
        out = torch.cat([attend(q[:, head], k[:, head], v[:, head]) for head in self.channels()], 1)
        return self.layer(out, f"{path}.proj").view_as(x)

    def block(self, stream: Tensor, text: Tensor, six: Tensor, path: str, temporal: bool) -> Tensor:
        shift1, scale1, gate1, shift2, scale2, gate2 = self.w[f"{path}.scale_shift_table"] + six
        seen = norm(stream) * (1 + scale1) + shift1
        stream = stream + gate1 * self.self_attention(seen, f"{path}.attn", temporal)
        stream = stream + self.cross_attention(stream, text, f"{path}.cross_attn")
        seen = norm(stream) * (1 + scale2) + shift2
        return stream + gate2 * self.mlp(seen, f"{path}.mlp.fc1", f"{path}.mlp.fc2", gelu)


def tokens(layers: Layers, row: Inputs, rows: int, columns: int) -> Tensor:
    """Tokens [frames, rows * columns, width] of patches of 2 by 2, with their places; zeros fill what sticks out."""
    x = row["x"]
    padded = torch.zeros(4, x.shape[1], 2 * rows, 2 * columns, dtype=torch.float64)
    padded[:, :, : x.shape[2], : x.shape[3]] = x
    scale = math.sqrt(row["height"] * row["width"]) / TINY["input_sq_size"]
    stream = torch.empty(x.shape[1], rows * columns, layers.width, dtype=torch.float64)
    for t in range(x.shape[1]):
        for r in range(rows):
            for c in range(columns):
                patch = padded[:, t, 2 * r : 2 * r + 2, 2 * c : 2 * c + 2].flatten()
                position = place(r, c, rows, columns, layers.width, scale)
                stream[t, columns * r + c] = layers.layer(patch, "x_embedder.proj") + position
    return stream


def frames_of(patches: Tensor, rows: int, columns: int) -> Tensor:
    """Eight channels of frames, whose tokens [frames, rows * columns, 32] hold patches of 2 by 2."""
    clip = torch.empty(8, len(patches), 2 * rows, 2 * columns, dtype=torch.float64)
    for t in range(len(patches)):
        for r in range(2 * rows):
            for c in range(2 * columns):
                within = 8 * (2 * (r % 2) + c % 2)
                clip[:, t, r, c] = patches[t, columns * (r // 2) + c // 2, within : within + 8]
    return clip


def equations(w: dict[str, Tensor], row: Inputs, heads: int = 4) -> Tensor:
    """One row of STDiT3 from its description: token by token, head by head, float64."""
    x, words = row["x"], row["y"][0][row["mask"]] if row["mask"] is not None else row["y"][0]
    rows, columns = -(-x.shape[2] // 2), -(-x.shape[3] // 2)
    width = w["t_block.1.weight"].shape[1]
    layers = Layers(w, width, heads)
    text = layers.mlp(words.double(), "y_embedder.y_proj.fc1", "y_embedder.y_proj.fc2", gelu)
    time = layers.mlp(waves(row["timestep"]), "t_embedder.mlp.0", "t_embedder.mlp.2", silu)
    time = time + layers.mlp(waves(row["fps"]), "fps_embedder.mlp.0", "fps_embedder.mlp.2", silu)
    six = layers.layer(silu(time), "t_block.1").view(6, width)
    stream = tokens(layers, row, rows, columns)
    for i in range(TINY["depth"]):
        for side in ("spatial", "temporal"):
            stream = layers.block(stream, text, six, f"{side}_blocks.{i}", side == "temporal")
    shift, grow = w["final_layer.scale_shift_table"] + time
    patches = layers.layer(norm(stream) * (1 + grow) + shift, "final_layer.linear")
    return frames_of(patches, rows, columns)[:, :, : x.shape[2], : x.shape[3]]
