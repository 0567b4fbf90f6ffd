"""U-ViT: the published checkpoint's keys and costs, its arithmetic written anew, its sites."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from smoothbench.caching import Schedule, cached, find_sites
from smoothbench.caching.mac_counter import measured_sites
from smoothbench.models.base.embeddings import sinusoid
from smoothbench.models.uvit.architecture import UViT

TINY = {"img_size": 8, "in_chans": 3, "embed_dim": 32, "depth": 4, "num_heads": 2, "num_classes": 11}


def tiny(**changes: Any) -> UViT:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return UViT(**{**TINY, **changes}).eval().requires_grad_(False)


def rows() -> tuple[Tensor, Tensor, Tensor]:
    """Pictures, times, one of them fractional, and classes, one of them the null class."""
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    return x, torch.tensor([800.2, 3.0]), torch.tensor([4, 10])


def published_shapes() -> dict[str, tuple[int, ...]]:
    """Keys and shapes of imagenet256_uvit_huge.pth."""
    d = 1152
    block = {
        "norm1.weight": (d,),
        "norm1.bias": (d,),
        "attn.qkv.weight": (3 * d, d),
        "attn.proj.weight": (d, d),
        "attn.proj.bias": (d,),
        "norm2.weight": (d,),
        "norm2.bias": (d,),
        "mlp.fc1.weight": (4 * d, d),
        "mlp.fc1.bias": (4 * d,),
        "mlp.fc2.weight": (d, 4 * d),
        "mlp.fc2.bias": (d,),
    }
    joined = {**block, "skip_linear.weight": (d, 2 * d), "skip_linear.bias": (d,)}
    blocks = {f"in_blocks.{i}": block for i in range(14)} | {"mid_block": block}
    blocks |= {f"out_blocks.{i}": joined for i in range(14)}
    return {
        "pos_embed": (1, 258, d),
        "patch_embed.proj.weight": (d, 4, 2, 2),
        "patch_embed.proj.bias": (d,),
        "label_emb.weight": (1001, d),
        **{f"{path}.{key}": shape for path, keys in blocks.items() for key, shape in keys.items()},
        "norm.weight": (d,),
        "norm.bias": (d,),
        "decoder_pred.weight": (16, d),
        "decoder_pred.bias": (16,),
    }


def test_keys_and_shapes_of_the_published_checkpoint() -> None:
    with torch.device("meta"):
        shapes = {key: tuple(each.shape) for key, each in UViT().state_dict().items()}
    assert shapes == published_shapes()
    assert round(sum(map(math.prod, shapes.values())) / 1e6, 2) == 500.83


def test_macs_of_a_row_of_the_published_model() -> None:
    with torch.device("meta"):
        model = UViT()
        row = torch.empty(1, 4, 32, 32), torch.empty(1), torch.empty(1, dtype=torch.long)
    sites, rest = measured_sites(model, lambda: model(*row))
    linear = sum(site.macs_linear for site in sites) + rest.linear
    assert round(linear / 1e9, 3) == 128.749
    assert round((sum(site.macs for site in sites) + rest.total) / 1e9, 3) == 133.197
    skips, edges = 14 * 2 * 1152**2 * 258, 16 * 1152 * (256 + 258)
    assert (rest.linear, rest.attention) == (skips + edges, 0), "long skips belong to no site"


def test_both_branches_of_29_blocks_in_order_of_execution() -> None:
    with torch.device("meta"):
        sites = find_sites(UViT())
    assert len(sites) == 58 and [site.block for site in sites[::2]] == list(range(29))
    assert [(site.name, site.path, site.norm) for site in (sites[0], sites[29], sites[57])] == [
        ("blocks.0.self_attn", "in_blocks.0.attn", "in_blocks.0.norm1"),
        ("blocks.14.ff", "mid_block.mlp", "mid_block.norm2"),
        ("blocks.28.ff", "out_blocks.13.mlp", "out_blocks.13.norm2"),
    ]
    model, seen = tiny(), list[str]()
    for site in find_sites(model):
        module = model.get_submodule(site.path)
        module.register_forward_pre_hook(lambda *_, path=site.path: seen.append(path))
    model(*rows())
    assert seen == [site.path for site in find_sites(model)]


def equations(w: dict[str, Tensor], x: Tensor, t: Tensor, y: Tensor, heads: int) -> Tensor:
    """U-ViT from its description, patch by patch and head by head, float64."""
    d, p, side = w["pos_embed"].shape[-1], 2, x.shape[-1] // 2
    kernel = w["patch_embed.proj.weight"].flatten(1)
    patches = [
        x[:, :, p * i : p * i + p, p * j : p * j + p].flatten(1) @ kernel.T + w["patch_embed.proj.bias"]
        for i in range(side)
        for j in range(side)
    ]
    angles = [t.double() / 10_000 ** (2 * k / d) for k in range(d // 2)]
    time = torch.stack([a.cos() for a in angles] + [a.sin() for a in angles], 1)
    stream = torch.stack([w["label_emb.weight"][y], time, *patches], 1) + w["pos_embed"]

    def norm(x: Tensor, path: str) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        spread = (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return centred / spread * w[f"{path}.weight"] + w[f"{path}.bias"]

    def layer(x: Tensor, path: str) -> Tensor:
        return x @ w[f"{path}.weight"].T + w[f"{path}.bias"]

    def block(x: Tensor, path: str) -> Tensor:
        q, k, v = (norm(x, f"{path}.norm1") @ w[f"{path}.attn.qkv.weight"].T).split(d, -1)
        parts = [each.split(d // heads, -1) for each in (q, k, v)]
        mixed = [(a @ b.mT / (d // heads) ** 0.5).softmax(-1) @ c for a, b, c in zip(*parts, strict=True)]
        x = x + layer(torch.cat(mixed, -1), f"{path}.attn.proj")
        inner = layer(norm(x, f"{path}.norm2"), f"{path}.mlp.fc1")
        return x + layer(inner * (1 + torch.erf(inner / 2**0.5)) / 2, f"{path}.mlp.fc2")

    first = block(stream, "in_blocks.0")
    second = block(first, "in_blocks.1")
    x = block(second, "mid_block")
    x = block(layer(torch.cat([x, second], -1), "out_blocks.0.skip_linear"), "out_blocks.0")
    x = block(layer(torch.cat([x, first], -1), "out_blocks.1.skip_linear"), "out_blocks.1")
    tokens = layer(norm(x, "norm"), "decoder_pred")[:, 2:]
    channels = tokens.shape[-1] // p**2
    picture = torch.empty(len(x), channels, p * side, p * side, dtype=x.dtype)
    for row in range(p * side):
        for column in range(p * side):
            place = channels * (p * (row % p) + column % p)
            token = tokens[:, side * (row // p) + column // p]
            picture[:, :, row, column] = token[:, place : place + channels]
    return picture


def test_the_arithmetic_is_that_of_the_description() -> None:
    model, (x, t, y) = tiny().double(), rows()
    expected = equations(model.state_dict(), x.double(), t, y, heads=2)
    close: Any = {"rtol": 0, "atol": 5e-6}  # time features are float32, as the reference's
    torch.testing.assert_close(model(x.double(), t, y), expected, **close)
    moved = (model(x.double(), t.floor(), y) - expected).abs().amax((1, 2, 3))
    assert moved[0] > 1e-3 and moved[1] < 5e-6, "a fraction of a timestep counts"


def test_cosines_come_first() -> None:
    assert sinusoid(torch.zeros(1), 6).tolist() == [[1, 1, 1, 0, 0, 0]]


def test_a_skipped_site_reuses_its_raw_output_and_long_skips_stay_fresh() -> None:
    """Everything is skipped at the second evaluation: what is left is sums, and the skips' layers."""
    model, (x, _, y) = tiny(), rows()
    outputs: dict[str, Tensor] = {}
    for site in find_sites(model):
        module = model.get_submodule(site.path)
        module.register_forward_hook(lambda _m, _i, out, path=site.path: outputs.update({path: out}))
    with torch.inference_mode(), cached(model, Schedule.steps(find_sites(model), [True, False])) as run:
        model(x, torch.tensor([900.0, 900.0]), y)
        reused = model(2 * x, torch.tensor([500.5, 500.5]), y)
    time = sinusoid(torch.tensor([500.5, 500.5]), 32)[:, None]
    patches = model.patch_embed(2 * x)
    stream = torch.cat([model.label_emb(y)[:, None], time, patches], 1) + model.pos_embed
    skips: list[Tensor] = []
    for path in ("in_blocks.0", "in_blocks.1", "mid_block", "out_blocks.0", "out_blocks.1"):
        if path.startswith("out"):
            stream = model.get_submodule(f"{path}.skip_linear")(torch.cat([stream, skips.pop()], -1))
        stream = stream + outputs[f"{path}.attn"] + outputs[f"{path}.mlp"]
        skips += [stream] if path.startswith("in") else []
    tokens = model.decoder_pred(model.norm(stream))[:, 2:]
    expected = F.pixel_shuffle(_channels_first(tokens, channels=3), 2)
    torch.testing.assert_close(reused, expected)
    assert set(run.calls.values()) == {1} and run.forwards == 2


def _channels_first(tokens: Tensor, channels: int) -> Tensor:
    """Tokens as a map whose channels are in the order that pixel_shuffle wants."""
    cells = tokens.unflatten(-1, (-1, channels)).transpose(-1, -2).flatten(2)
    return cells.mT.unflatten(-1, (4, 4))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depth": 3}, "depth=3 must be a multiple of 2"),
        ({"num_heads": 5}, "embed_dim=32 must be a multiple of 5"),
        ({"img_size": 9}, "img_size=9 must be a multiple of 2"),
        ({"patch_size": 0}, "patch_size must be a whole number from 1, not 0"),
        ({"num_classes": "many"}, "num_classes must be a whole number from 1, not 'many'"),
        ({"mlp_ratio": 0}, "mlp_ratio must be a number above 0, not 0"),
    ],
)
def test_architectures_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(**changes)
