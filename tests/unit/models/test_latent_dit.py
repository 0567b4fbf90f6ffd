"""LatentDiT: its layouts give the same denoiser, its YAMLs the published sizes; classes, dtypes, decoding."""

import json
import logging
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from smoothbench.caching import Schedule, cached, find_sites
from smoothbench.caching.mac_counter import measured_sites
from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build_model
from smoothbench.models.base.image_decoder import PIXELS
from smoothbench.sampling.loop import SeededNoise, latents, silent
from smoothbench.solvers.ddim import DDIM
from tests.oracles.dit_equations import Shape, random_weights
from tests.support.compose import composed
from tests.support.latent_dits import CPU, SAFE, TINY, by_yaml, forward, latent_dit, original
from tests.support.tiny_pipelines import save_tiny_dit

LAYOUTS: list[dict[str, bool]] = [
    {"safetensors": True},
    {"safetensors": False},
    {"safetensors": True, "legacy": True},
    {"safetensors": False, "legacy": True},
]


@pytest.fixture(scope="module")
def tiny_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("published")
    save_tiny_dit(path)
    return path


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_every_layout_gives_the_same_denoiser(tmp_path: Path, layout: dict[str, bool]) -> None:
    pipe = save_tiny_dit(tmp_path, **layout)
    model = latent_dit(tmp_path, numerics="diffusers")
    assert model.unavailable_reason is None
    x = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    t, labels = torch.full((3,), 700), torch.tensor([1, 5, 1000])
    with torch.inference_mode():
        theirs = pipe.transformer(x, timestep=t, class_labels=labels).sample
        images = pipe.vae.decode(x / pipe.vae.config.scaling_factor).sample
    assert torch.equal(forward(model), theirs[:, :4])
    torch.testing.assert_close(model.decoder(x), images)


def test_the_folder_of_a_yaml_comes_before_its_architecture(
    tiny_repository: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        model = by_yaml("dit_xl_2_256", f"model.path={tiny_repository}")
    warning = next(r.getMessage() for r in caplog.records if "architecture" in r.getMessage())
    assert str(tiny_repository / "transformer/config.json") in warning and "num_layers" in warning
    assert "patch_size" not in warning, "only what differs"
    assert model.sample_shape == (4, 8, 8) and len(find_sites(model.denoiser)) == 6
    assert torch.equal(forward(model), forward(latent_dit(tiny_repository)))


@pytest.mark.parametrize(
    ("name", "parameters", "linear", "whole", "sites"),
    [
        ("dit_xl_2_256", 749.83, 114.439, 118.667, 56),
        ("dit_xl_2_512", 749.83, 456.938, 524.584, 56),
        ("dit_l_2_256", 511.61, 77.508, 80.729, 48),
    ],
)
@pytest.mark.slow
def test_published_sizes(name: str, parameters: float, linear: float, whole: float, sites: int) -> None:
    """Millions of parameters and GMACs a row, with and without the attention products."""
    model = by_yaml(name)
    denoiser, call = model.skeleton()
    measured, rest = measured_sites(denoiser, call)
    assert len(measured) == sites and model.guidance_rows == 2 and not rest.attention
    assert sum(p.numel() for p in denoiser.parameters()) / 1e6 == pytest.approx(parameters, abs=6e-3)
    macs_linear = sum(site.macs_linear for site in measured) + rest.linear
    macs = sum(site.macs for site in measured) + rest.total
    assert macs_linear / 2e9 == pytest.approx(linear, abs=6e-4)
    assert macs / 2e9 == pytest.approx(whole, abs=6e-4)
    assert "denoiser" not in vars(model), "counting loads nothing"


def test_classes_come_from_the_samples_own_generators(tiny_repository: Path) -> None:
    model, seeds = latent_dit(tiny_repository), range(200)
    labels = model.labels_or_prompts(seeds)
    assert torch.equal(labels[7:9], model.labels_or_prompts([7, 8]))
    generator = torch.Generator().manual_seed(8)
    assert torch.equal(
        torch.randn(4, 8, 8, generator=generator), SeededNoise([8], model.sample_shape, CPU)()[0]
    )
    assert labels[8] == torch.randint(1000, (), generator=generator)
    assert len(set(labels.tolist())) > 150 and labels.min() >= 0 and labels.max() < 1000
    assert model.unconditional(2).tolist() == [1000, 1000]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_runs_and_is_near(tiny_repository: Path, dtype: str) -> None:
    half, full = latent_dit(tiny_repository, dtype=dtype), latent_dit(tiny_repository)
    assert {p.dtype for p in half.denoiser.parameters()} == {getattr(torch, dtype)}
    ours, theirs = forward(half), forward(full)
    apart = (ours - theirs).norm() / theirs.norm()
    assert ours.dtype == torch.float32 and 1e-5 < apart < 0.05
    x = latents(half, DDIM(5), [1, 2], silent)
    assert x.dtype == torch.float32 and half.decode(x).shape == (2, 3, 16, 16)
    assert half.identity["dtype"] == dtype and half.identity != full.identity
    skeleton, call = half.skeleton()
    assert measured_sites(skeleton, call) == measured_sites(*full.skeleton())


def test_the_identity_holds_what_decides_the_samples(tiny_repository: Path, tmp_path: Path) -> None:
    base = latent_dit(tiny_repository).identity
    changes: list[dict[str, Any]] = [{"guidance": 2.0}, {"numerics": "diffusers"}, {"weights": "random"}]
    identities = [latent_dit(tiny_repository, **change).identity for change in changes]
    assert all(other != base and other.keys() == base.keys() for other in identities)
    assert base["weights_sha256"] != base["vae_sha256"] and len(base["weights_sha256"]) == 64
    assert identities[-1]["weights_sha256"] == "random"
    assert base["numerics"] == {"device": "cpu", "matmul": "highest"}
    save_tiny_dit(tmp_path)
    assert latent_dit(tmp_path).identity == base, "the folder's name does not matter"
    vae = tmp_path / "vae/config.json"
    vae.write_text(json.dumps(json.loads(vae.read_text()) | {"scaling_factor": 0.5}))
    assert latent_dit(tmp_path).identity != base


def test_random_weights_stand_in_for_costs(tiny_repository: Path) -> None:
    model, again = latent_dit(None), latent_dit(tiny_repository, weights="random")
    assert "published by nobody" in str(model.unavailable_reason) and "stage=cost" in str(
        again.unavailable_reason
    )
    assert torch.equal(forward(model), forward(again)) and forward(model).abs().max() > 0
    assert not torch.equal(forward(again), forward(latent_dit(tiny_repository)))
    assert all(p.abs().max() > 0 for p in model.denoiser.parameters())
    assert again.decode(torch.randn(2, 4, 8, 8)).dtype == torch.uint8


def test_an_unknown_decoder_is_the_published_architecture() -> None:
    """Its layers are there to be timed: 8 times the size, 83.65 million parameters."""
    decoder = latent_dit(None).decoder
    assert sum(p.numel() for p in decoder._vae.parameters()) == 83_653_863
    assert decoder(torch.zeros(1, 4, 2, 2)).shape == (1, 3, 16, 16)


def test_the_decoders_legacy_names(tiny_repository: Path, tmp_path: Path) -> None:
    """Of the attention layers, as in decoders saved in 2022."""
    shutil.copytree(tiny_repository, tmp_path / "old")
    path = tmp_path / "old/vae" / SAFE
    new = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    names = re.compile(r"(?<=attentions\.0\.)(to_q|to_k|to_v|to_out\.0)(?=\.)")
    old = {names.sub(lambda found: new[found[0]], name): t for name, t in load_file(path).items()}
    assert sum("query" in name or "proj_attn" in name for name in old) == 8
    save_file(old, path)
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(latent_dit(tmp_path / "old").decoder(x), latent_dit(tiny_repository).decoder(x))


def test_decoding_in_parts(tiny_repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = latent_dit(tiny_repository)
    x = torch.randn(5, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    at_once = model.decoder(x)
    assert PIXELS > 2 * 16 * 16
    monkeypatch.setattr("smoothbench.models.base.image_decoder.PIXELS", 2 * 16 * 16)
    sizes: list[int] = []
    model.decoder._vae.decoder.register_forward_hook(lambda module, args, out: sizes.append(len(out)))
    torch.testing.assert_close(model.decoder(x), at_once, rtol=1e-4, atol=1e-5)
    assert sizes == [2, 2, 1]


@pytest.mark.filterwarnings("ignore:the cache policy skipped nothing")
def test_caching_an_original_checkpoint(tmp_path: Path) -> None:
    """A schedule that computes all gives the same bits; one that skips does not, and costs less."""
    shape = Shape(depth=2)
    model = original(tmp_path, random_weights(shape), shape)
    solver = DDIM(6)
    plain = latents(model, solver, [1, 2], silent)
    sites = find_sites(model.denoiser)
    for full in ([True] * 6, [True, False] * 3):
        with cached(model.denoiser, Schedule.steps(sites, full)) as run:
            x = latents(model, solver, [1, 2], run.step)
        assert torch.equal(x, plain) is all(full)
        assert set(run.calls.values()) == {sum(full)}


def test_the_tiny_architecture_is_the_tiny_pipelines(tiny_repository: Path) -> None:
    saved = json.loads((tiny_repository / "transformer/config.json").read_text())
    assert saved.items() >= TINY.items()


def test_a_dit_refuses_timesteps_that_it_was_not_trained_on() -> None:
    model = build_model(settings(composed()).model, CPU)
    x, y = torch.zeros(1, *model.sample_shape), torch.tensor([1])
    for t in (907.25, 1000.0, -1.0):
        with pytest.raises(ValueError, match=f"whole timesteps 0 to 999, the solver asks for {t:g}"):
            model.output(x, t, y)
