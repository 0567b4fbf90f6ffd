"""The arithmetic of Open-Sora's temporal autoencoder written anew, float64: tap by tap, frame by frame."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

Weights = Mapping[str, Tensor]


def part(w: Weights, path: str) -> dict[str, Tensor]:
    """The tensors below a path, in float64."""
    return {
        key.removeprefix(f"{path}."): each.double() for key, each in w.items() if key.startswith(f"{path}.")
    }


def conv(x: Tensor, w: Weights, path: str, every: int = 1) -> Tensor:
    """Of x [C, T, H, W]: a frame sees itself and those before it; of `every` frames the last is kept."""
    kernel = w[f"{path}.conv.weight"].double()
    taps, reach = kernel.shape[2], kernel.shape[3] // 2
    channels, frames, rows, columns = x.shape
    wide = torch.zeros(channels, frames, rows + 2 * reach, columns + 2 * reach, dtype=torch.float64)
    wide[:, :, reach : reach + rows, reach : reach + columns] = x
    out = []
    for t in range(every - 1, frames, every):
        total = torch.zeros(kernel.shape[0], rows, columns, dtype=torch.float64)
        for k in range(taps):
            if (at := t - (taps - 1) + k) >= 0:
                for i in range(2 * reach + 1):
                    for j in range(2 * reach + 1):
                        seen = wide[:, at, i : i + rows, j : j + columns]
                        total += torch.einsum("oc,chw->ohw", kernel[:, :, k, i, j], seen)
        out.append(total)
    bias = w.get(f"{path}.conv.bias", torch.zeros(kernel.shape[0])).double()
    return torch.stack(out, 1) + bias[:, None, None, None]


def norm(x: Tensor, w: Weights, path: str, groups: int) -> Tensor:
    """Each group of channels over all frames and places of the clip, then x * sigmoid(x)."""
    parts = []
    for group in x.chunk(groups):
        centred = group - group.mean()
        parts.append(centred / (centred.square().mean() + 1e-5).sqrt())
    scale, shift = (w[f"{path}.{name}"].double()[:, None, None, None] for name in ("weight", "bias"))
    y = torch.cat(parts) * scale + shift
    return y / (1 + (-y).exp())


def residual(x: Tensor, w: Weights, path: str, groups: int) -> Tensor:
    h = conv(norm(x, w, f"{path}.norm1", groups), w, f"{path}.conv1")
    h = conv(norm(h, w, f"{path}.norm2", groups), w, f"{path}.conv2")
    return h + (conv(x, w, f"{path}.conv3") if f"{path}.conv3.conv.weight" in w else x)


def encoder(x: Tensor, w: Weights, halved: Sequence[bool], depth: int, groups: int) -> Tensor:
    """Moments of the latents of x [C, T, H, W]; T is a multiple of what the frames are divided by."""
    x = conv(x, w, "conv_in")
    for stage in range(len(halved) + 1):
        for block in range(depth):
            x = residual(x, w, f"block_res_blocks.{stage}.{block}", groups)
        if stage < len(halved) and halved[stage]:
            x = conv(x, w, f"conv_blocks.{stage}", every=2)
    for block in range(depth):
        x = residual(x, w, f"res_blocks.{block}", groups)
    return conv(norm(x, w, "norm1", groups), w, "conv2")


def decoder(z: Tensor, w: Weights, halved: Sequence[bool], depth: int, groups: int) -> Tensor:
    """Frames of z [C, t, H, W]: two for one where the encoder made one of two."""
    x = conv(z, w, "conv1")
    for block in range(depth):
        x = residual(x, w, f"res_blocks.{block}", groups)
    for stage in range(len(halved), -1, -1):
        for block in range(depth):
            x = residual(x, w, f"block_res_blocks.{stage}.{block}", groups)
        if stage and halved[stage - 1]:
            x = conv(x, w, f"conv_blocks.{stage - 1}")
            wide, frames, rows, columns = x.shape
            twice = torch.empty(wide // 2, 2 * frames, rows, columns, dtype=torch.float64)
            for channel in range(wide):
                twice[channel // 2, channel % 2 :: 2] = x[channel]
            x = twice
    return conv(norm(x, w, "norm1", groups), w, "conv_out")
