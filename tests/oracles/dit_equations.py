"""DiT once more, from the equations: Peebles and Xie 2023 (sections 3.1, 3.2), Song et al. 2021 (equation 12).

Plain tensor functions in float64 on a checkpoint with the original implementation's names. Nothing of
smoothbench or diffusers is used, so that both can be held against it.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Shape:
    """Of a DiT on latents [channels, size, size]; it predicts noise and a variance."""

    width: int = 64
    depth: int = 4
    heads: int = 4
    patch: int = 2
    channels: int = 4
    size: int = 8
    classes: int = 10


def random_weights(shape: Shape, seed: int = 0) -> Weights:
    """Every tensor of the original's checkpoints, at a gain that lets every branch move the output."""
    d, out = shape.width, 2 * shape.channels * shape.patch**2
    layers = {
        "t_embedder.mlp.0": (d, 256),
        "t_embedder.mlp.2": (d, d),
        "x_embedder.proj": (d, shape.channels, shape.patch, shape.patch),
        "final_layer.linear": (out, d),
        "final_layer.adaLN_modulation.1": (2 * d, d),
    }
    for i in range(shape.depth):
        layers |= {f"blocks.{i}.attn.qkv": (3 * d, d), f"blocks.{i}.attn.proj": (d, d)}
        layers |= {f"blocks.{i}.mlp.fc1": (4 * d, d), f"blocks.{i}.mlp.fc2": (d, 4 * d)}
        layers |= {f"blocks.{i}.adaLN_modulation.1": (6 * d, d)}
    generator = torch.Generator().manual_seed(seed)
    weights = {"y_embedder.embedding_table.weight": torch.randn(shape.classes + 1, d, generator=generator)}
    for name, size in layers.items():
        weights[f"{name}.weight"] = torch.randn(size, generator=generator) * math.prod(size[1:]) ** -0.5
        weights[f"{name}.bias"] = torch.randn(size[0], generator=generator) * 0.1
    weights["pos_embed"] = positions(d, shape.size // shape.patch).float()[None]
    return weights


def timestep_features(t: float) -> Tensor:
    """cos and sin of t * 10000^(-i/128), float64 [256]."""
    angles = t * 10000.0 ** (-torch.arange(128, dtype=torch.float64) / 128)
    return torch.cat([angles.cos(), angles.sin()])


def positions(width: int, side: int) -> Tensor:
    """sin and cos of the column in the first half, of the row in the second, float64 [side * side, width]."""
    frequencies = 10000.0 ** (-torch.arange(width // 4, dtype=torch.float64) / (width // 4))

    def along(place: int) -> Tensor:
        return torch.cat([(place * frequencies).sin(), (place * frequencies).cos()])

    return torch.stack([torch.cat([along(w), along(h)]) for h in range(side) for w in range(side)])


def linear(weights: Weights, name: str, x: Tensor) -> Tensor:
    return x @ weights[f"{name}.weight"].double().T + weights[f"{name}.bias"].double()


def silu(x: Tensor) -> Tensor:
    return x / (1 + (-x).exp())


def gelu(x: Tensor) -> Tensor:
    """In its tanh form."""
    return 0.5 * x * (1 + (math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)).tanh())


def modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """A layer norm without parameters of its own, then a shift and a scale for each row."""
    centred = x - x.mean(-1, keepdim=True)
    normed = centred / ((centred**2).mean(-1, keepdim=True) + 1e-6).sqrt()
    return normed * (1 + scale[:, None]) + shift[:, None]


def attention(weights: Weights, name: str, x: Tensor, heads: int) -> Tensor:
    q, k, v = (
        part.unflatten(-1, (heads, -1)).transpose(1, 2)
        for part in linear(weights, f"{name}.qkv", x).chunk(3, -1)
    )
    scores = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).exp()
    mixed = scores / scores.sum(-1, keepdim=True) @ v
    return linear(weights, f"{name}.proj", mixed.transpose(1, 2).flatten(2))


def denoise(weights: Weights, shape: Shape, x: Tensor, t: float, labels: Tensor) -> Tensor:
    """Noise and variance, float64 [rows, 2 * channels, size, size]."""
    p, side = shape.patch, shape.size // shape.patch
    patches = x.double().unflatten(2, (side, p)).unflatten(4, (side, p))  # rows, channels, h, p, w, q
    kernel = weights["x_embedder.proj.weight"].double()
    tokens = torch.einsum("bchpwq,dcpq->bhwd", patches, kernel).flatten(1, 2)
    tokens = tokens + weights["x_embedder.proj.bias"].double() + positions(shape.width, side)
    time = linear(weights, "t_embedder.mlp.0", timestep_features(t)[None])
    time = linear(weights, "t_embedder.mlp.2", silu(time))
    c = silu(time + weights["y_embedder.embedding_table.weight"].double()[labels])
    for i in range(shape.depth):
        name = f"blocks.{i}"
        shift1, scale1, gate1, shift2, scale2, gate2 = linear(weights, f"{name}.adaLN_modulation.1", c).chunk(
            6, 1
        )
        mixed = attention(weights, f"{name}.attn", modulated(tokens, shift1, scale1), shape.heads)
        tokens = tokens + gate1[:, None] * mixed
        inner = gelu(linear(weights, f"{name}.mlp.fc1", modulated(tokens, shift2, scale2)))
        tokens = tokens + gate2[:, None] * linear(weights, f"{name}.mlp.fc2", inner)
    shift, scale = linear(weights, "final_layer.adaLN_modulation.1", c).chunk(2, 1)
    out = linear(weights, "final_layer.linear", modulated(tokens, shift, scale))
    out = out.unflatten(1, (side, side)).unflatten(3, (p, p, 2 * shape.channels))
    return torch.einsum("bhwpqc->bchpwq", out).flatten(4, 5).flatten(2, 3)


def guided(weights: Weights, shape: Shape, x: Tensor, t: float, labels: Tensor, scale: float) -> Tensor:
    """The noise: guided in the first three channels, the conditional prediction in the others."""
    null = torch.full_like(labels, shape.classes)
    cond, uncond = (denoise(weights, shape, x, t, y)[:, : shape.channels] for y in (labels, null))
    mixed = uncond + scale * (cond - uncond)
    return torch.cat([mixed[:, :3], cond[:, 3:]], 1)


def grid(steps: int) -> list[int]:
    """Timesteps spread evenly from 0 to 999, rounded, the noisiest first."""
    return [round(i * 999 / (steps - 1)) for i in range(steps)][::-1]


def trajectory(x: Tensor, steps: int, predict: Callable[[Tensor, float], Tensor]) -> Iterator[Tensor]:
    """What DDIM (eta 0) makes of x, after each of its steps."""
    kept = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0).tolist()
    times, x = grid(steps), x.double()
    for t, earlier in zip(times, [*times[1:], None], strict=True):
        noise = predict(x, float(t))
        clean = (x - math.sqrt(1 - kept[t]) * noise) / math.sqrt(kept[t])
        after = 1.0 if earlier is None else kept[earlier]
        x = math.sqrt(after) * clean + math.sqrt(1 - after) * noise
        yield x
