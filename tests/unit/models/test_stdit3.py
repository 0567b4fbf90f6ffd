"""STDiT3: the published checkpoint's keys and costs, its arithmetic written anew."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from smoothbench.caching.mac_counter import measured_sites
from smoothbench.models.opensora.stdit3 import STDiT3, initialise
from tests.oracles.stdit3_equations import TINY, equations, inputs, place, rows_of, tiny
from tests.support.latent_dits import refusal


def published_shapes() -> dict[str, tuple[int, ...]]:
    """Keys and shapes of hpcai-tech/OpenSora-STDiT-v3."""
    d = 1152

    def layer(path: str, out: int, into: int) -> dict[str, tuple[int, ...]]:
        return {f"{path}.weight": (out, into), f"{path}.bias": (out,)}

    block = {
        "scale_shift_table": (6, d),
        **layer("attn.qkv", 3 * d, d),
        "attn.q_norm.weight": (72,),
        "attn.k_norm.weight": (72,),
        **layer("attn.proj", d, d),
        **layer("cross_attn.q_linear", d, d),
        **layer("cross_attn.kv_linear", 2 * d, d),
        **layer("cross_attn.proj", d, d),
        **layer("mlp.fc1", 4 * d, d),
        **layer("mlp.fc2", d, 4 * d),
    }
    paths = [f"{side}_blocks.{i}" for side in ("spatial", "temporal") for i in range(28)]
    scalars: dict[str, tuple[int, ...]] = {}
    for path in ("t_embedder", "fps_embedder"):
        scalars |= layer(f"{path}.mlp.0", d, 256) | layer(f"{path}.mlp.2", d, d)
    return {
        "rope.freqs": (36,),
        "x_embedder.proj.weight": (d, 4, 1, 2, 2),
        "x_embedder.proj.bias": (d,),
        **scalars,
        **layer("t_block.1", 6 * d, d),
        "y_embedder.y_embedding": (300, 4096),
        **layer("y_embedder.y_proj.fc1", d, 4096),
        **layer("y_embedder.y_proj.fc2", d, d),
        **{f"{path}.{key}": shape for path in paths for key, shape in block.items()},
        "final_layer.scale_shift_table": (2, d),
        **layer("final_layer.linear", 32, d),
    }


def test_keys_and_shapes_of_the_published_checkpoint() -> None:
    with torch.device("meta"):
        shapes = {key: tuple(each.shape) for key, each in STDiT3().state_dict().items()}
    assert shapes == published_shapes()
    assert len(shapes) == 973 and sum(map(math.prod, shapes.values())) == 1_208_872_772


@pytest.mark.parametrize(("words", "teramacs"), [(300, (24.8625, 28.2551)), (67, (24.8278, 27.5035))])
@pytest.mark.slow
def test_macs_of_a_row_of_the_published_model(words: int, teramacs: tuple[float, float]) -> None:
    """480p of 9:16, 2 s; keys and values of cross-attention are those of the words given."""
    with torch.device("meta"):
        model = STDiT3()
        x, y = torch.empty(1, 4, 15, 60, 106), torch.empty(1, 1, 300, 4096)
        row = (x, torch.empty(1), y, torch.ones(1, words), torch.empty(1), 480.0, 854.0)
    sites, rest = measured_sites(model, lambda: model(*row))
    d, frames, places = 1152, 15, 30 * 53
    tokens = frames * places
    cross = 2 * d**2 * tokens + 2 * d**2 * words, 2 * d * tokens * words
    expected = {
        "spatial_self_attn": (4 * d**2 * tokens, 2 * d * tokens * places),
        "temporal_self_attn": (4 * d**2 * tokens, 2 * d * tokens * frames),
        "spatial_cross_attn": cross,
        "temporal_cross_attn": cross,
        "spatial_ff": (8 * d**2 * tokens, 0),
        "temporal_ff": (8 * d**2 * tokens, 0),
    }
    assert {s.kind: (s.macs_linear, s.macs - s.macs_linear) for s in sites} == expected
    assert len(sites) == 168 and len({(s.kind, s.macs, s.macs_linear) for s in sites}) == 6
    scalars = 2 * (256 * d + d**2) + 6 * d**2
    edges = 300 * (4096 * d + d**2) + tokens * d * (16 + 32)
    assert (rest.linear, rest.attention) == (scalars + edges, 0), "captions are projected whole"
    linear = sum(site.macs_linear for site in sites) + rest.linear
    total = sum(site.macs for site in sites) + rest.total
    assert (round(linear / 1e12, 4), round(total / 1e12, 4)) == teramacs
    if words == 67:
        assert round(60 * linear / 1e12, 2) == 1489.67, "30 steps, 2 rows"


@pytest.mark.parametrize(("height", "width"), [(4, 6), (5, 7)])
@pytest.mark.parametrize("masked", [True, False])
def test_the_arithmetic_is_that_of_the_description(height: int, width: int, masked: bool) -> None:
    """Also of clips that are padded to whole patches, and of captions with padding."""
    model, batch = tiny(), inputs(height=height, width=width)
    batch["mask"] = batch["mask"] if masked else None
    weights = {key: value.double() for key, value in model.state_dict().items()}
    expected = torch.stack([equations(weights, row) for row in rows_of(batch)])
    got = model(**batch)
    assert got.dtype == torch.float32 and got.shape == (2, 8, 3, height, width)
    torch.testing.assert_close(got.double(), expected, rtol=0, atol=1e-5)
    for name, change in (("fps", 1.0), ("timestep", 0.5), ("height", 5.0)):
        assert (model(**{**batch, name: batch[name] + change}) - expected).abs().max() > 1e-4, name


def test_the_arithmetic_of_small_amplitudes() -> None:
    """One patch a frame whose position its bias takes away: what norms add to a variance weighs in, each of them."""
    model, batch = tiny(), inputs(height=2, width=2)
    here = place(0, 0, 1, 1, 32, 16 / 16)
    model.x_embedder.proj.bias.copy_(-here)
    for block in (*model.spatial_blocks, *model.temporal_blocks):
        block.attn.qkv.weight[:64] *= 2e-3
        block.attn.qkv.bias[:64] = 0
    batch["x"] *= 2e-3
    weights = {key: value.double() for key, value in model.state_dict().items()}
    expected = torch.stack([equations(weights, row) for row in rows_of(batch)])
    # CPUs round such small numbers by up to 4e-5; an epsilon of a norm that is half as large again gives 2e-3
    torch.testing.assert_close(model(**batch).double(), expected, rtol=0, atol=1e-4)


def test_patches_of_several_frames() -> None:
    """Padded along time too; a channel more or less of the output is the caller's choice."""
    model = tiny(patch_size=(2, 2, 2), pred_sigma=False)
    batch = inputs(frames=3, height=5)
    got = model(**batch)
    assert got.shape == batch["x"].shape
    padded = {**batch, "x": torch.nn.functional.pad(batch["x"], (0, 0, 0, 1, 0, 1))}
    assert torch.equal(got, model(**padded)[:, :, :3, :5])


def test_masked_words_are_as_if_they_were_not_there() -> None:
    """Whether masked, cut by a shorter mask, or never given; and the mask is one for both guidance rows."""
    model, batch = tiny(), inputs()
    mask = torch.arange(6)[None] < 4
    masked = model(**{**batch, "mask": mask})
    close: Any = {"rtol": 0, "atol": 1e-5}
    torch.testing.assert_close(model(**{**batch, "mask": mask[:, :4]}), masked, **close)
    torch.testing.assert_close(model(**{**batch, "y": batch["y"][:, :, :4], "mask": None}), masked, **close)
    assert torch.equal(model(**{**batch, "mask": mask.int()}), masked)
    assert (model(**{**batch, "mask": None}) - masked).abs().max() > 1e-3
    other = batch["y"].clone()
    other[:, :, 4:] = 99.0
    assert torch.equal(model(**{**batch, "y": other, "mask": mask}), masked)


def test_a_row_does_not_depend_on_its_batch() -> None:
    model, batch = tiny(), inputs(rows=4)
    together = model(**batch)
    for i, row in enumerate(rows_of(batch)):
        alone = {k: v[None] if isinstance(v, Tensor) else v for k, v in row.items()}
        torch.testing.assert_close(model(**alone)[0], together[i], rtol=0, atol=1e-5)


def test_bfloat16_is_near_and_returns_float32() -> None:
    batch = inputs()
    exact, half = tiny()(**batch), tiny().bfloat16()
    rounded = {**batch, "x": batch["x"].bfloat16(), "y": batch["y"].bfloat16()}
    got = half(**rounded)
    assert got.dtype == torch.float32
    assert ((got - exact).norm() / exact.norm()).item() < 0.05


def test_what_it_starts_from() -> None:
    """Temporal blocks, frame rate and output say nothing yet, and all of them learn."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = STDiT3(**TINY)  # type: ignore[arg-type]
        initialise(model)
    batch = inputs()
    assert not model(**batch).any()
    stream: list[Tensor] = []
    for block in model.temporal_blocks:
        block.register_forward_hook(lambda _, args, out: stream.extend((args[0], out)))
    model(**batch)
    assert all(torch.equal(before, after) for before, after in zip(stream[::2], stream[1::2], strict=True))
    optimiser = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(3):
        optimiser.zero_grad()
        (model(**batch) - 1).square().mean().backward()
        optimiser.step()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters() if p.requires_grad)
    assert not model.rope.freqs.requires_grad


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"num_heads": 5}, ["hidden_size=32", "num_heads=5"]),
        ({"num_heads": 32}, ["even heads"]),
        ({"patch_size": (2, 2)}, ["three numbers", "[2, 2]"]),
    ],
)
def test_sizes_that_do_not_divide_are_refused(changes: dict[str, Any], says: list[str]) -> None:
    refusal(lambda: tiny(**changes), *says)
