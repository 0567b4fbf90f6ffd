"""StableAudioOpen on a tiny repository in the published layout: as the pipeline computes, and cached."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableAudioPipeline
from huggingface_hub import constants
from torch import Tensor

from smoothbench.caching import Schedule, cached, find_sites
from smoothbench.caching.mac_counter import measured_sites
from smoothbench.media.codecs import pcm
from smoothbench.models.base.prompts import Prompts
from smoothbench.models.stable_audio.published import StableAudioOpen
from smoothbench.protocols import BLOCK
from smoothbench.sampling.loop import latents, silent
from tests.support.latent_dits import by_yaml
from tests.support.stable_audio import SOLVER, TEXTS, published, stable_audio


@pytest.fixture(scope="module")
def pipe(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StableAudioPipeline]:
    """A tiny pipeline and its folder, not to be written to."""
    path = tmp_path_factory.mktemp("published")
    return path, published(path)


def noise(model: StableAudioOpen, rows: int) -> Tensor:
    return torch.randn(rows, *model.sample_shape, generator=torch.Generator().manual_seed(0))


def test_the_published_size(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """TMACs a row, and of the paper's 100 evaluations of two rows (209.82 reported): without any weights."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    model = by_yaml("stable_audio_open")
    sites, rest = measured_sites(*model.skeleton())
    linear = sum(site.macs_linear for site in sites) + rest.linear
    with_attention = sum(site.macs for site in sites) + rest.total
    assert len(sites) == 72 and {site.kind for site in sites} == {"self_attn", "cross_attn", "ff"}
    assert sum(p.numel() for p in model.skeleton()[0].parameters()) == 1_056_939_136
    assert (model.guidance_rows, model.forwards, model.sample_shape) == (2, 1, (64, 1024))
    assert (linear / 2e12, with_attention / 2e12) == pytest.approx((1.048747, 1.136032), abs=1e-6)
    assert linear * 100 / 1e12 == pytest.approx(209.749, abs=1e-3) and not rest.attention
    assert not {"denoiser", "decoder", "text"} & vars(model).keys(), "counting loads nothing"
    line = str(model.unavailable_reason)
    assert "hf download stabilityai/stable-audio-open-1.0 (licence Stability AI Community, gated" in line
    assert "hf auth login" in line and "model.path=FOLDER" in line and "\n" not in line


def test_the_guided_prediction_is_the_pipelines(pipe: tuple[Path, StableAudioPipeline]) -> None:
    """What the pipeline gives its transformer, at our time, guided as it guides; then decoded and cut."""
    path, theirs = pipe
    seen: list[dict[str, Tensor]] = []
    handle = theirs.transformer.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs), with_kwargs=True
    )
    theirs(
        prompt=TEXTS[:3],
        num_inference_steps=2,
        audio_start_in_s=0.5,
        audio_end_in_s=2.5,
        output_type="latent",
    )
    handle.remove()
    model, sigma = stable_audio(path, seconds_start=0.5), 3.7
    x = noise(model, 3)
    conditions = {
        key: seen[0][key] for key in ("encoder_hidden_states", "global_hidden_states", "rotary_embedding")
    }
    time = torch.tensor([torch.tensor(sigma).atan() * 2 / torch.pi])
    with torch.inference_mode():
        uncond, cond = theirs.transformer(torch.cat([x, x]), time, **conditions).sample.chunk(2)
        audio = theirs.vae.decode(x).sample[:, :, 32:160]
        forwards: list[int] = []
        guided = model.predict(x, sigma, model.conditioning(torch.arange(3)), forwards.append)
        torch.testing.assert_close(guided, uncond + 7 * (cond - uncond), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(model.output(x, sigma, torch.arange(3)), cond, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(
            model.output(x, sigma, model.unconditional(3)), uncond, rtol=1e-5, atol=1e-5
        )
    assert forwards == [0] and (cond - uncond).abs().mean() > 0.05
    assert (model.decode(x).int() - pcm(audio).int()).abs().max() <= 1, "the rounding of kernels, by batch"
    assert model.decode(x).shape == (3, 2, 128) and torch.equal(model.decode(x[:1]), model.decode(x)[:1])


def test_prompts_are_shared_and_encoded_once(pipe: tuple[Path, StableAudioPipeline]) -> None:
    model = stable_audio(pipe[0])
    assert model.labels_or_prompts([0, 1, 2, 3, BLOCK]).tolist() == [0, 1, 2, 0, BLOCK % 3]
    assert model.labels_or_prompts([999 * BLOCK + 5]).tolist() == [3], "kept for calibration"
    assert model.unconditional(2).tolist() == [-1, -1]
    assert model.text is not None
    encoded: list[Any] = []
    model.text._t5.encoder.register_forward_hook(lambda *_: encoded.append(0))
    rows = model.context(torch.tensor([2, 0, 2, -1]))[0]
    model.context(torch.tensor([0, 2]))
    assert len(encoded) == 2 and torch.equal(rows[0], rows[2]) and not rows[3].any()
    assert rows[1, len(TEXTS[0]) + 1 : -2].abs().sum() == 0 and rows[1, -2:].abs().sum() > 0
    assert rows.shape == (4, 26, 32) and all(rows[0, :24].any(1)), "24 tokens, as its tokenizer says"


def test_the_same_seed_gives_the_same_clip_at_any_batch_size(pipe: tuple[Path, StableAudioPipeline]) -> None:
    model = stable_audio(pipe[0], guidance=1.5)
    seeds = [0, 1, 2, 4]
    together = latents(model, SOLVER, seeds, silent)
    assert torch.equal(together, latents(model, SOLVER, seeds, silent))
    for part in (1, 3):
        rows = [latents(model, SOLVER, seeds[i : i + part], silent) for i in range(0, 4, part)]
        torch.testing.assert_close(torch.cat(rows), together, rtol=1e-4, atol=1e-4)
    clips = model.decode(together)
    assert clips.dtype == torch.int16 and clips.shape == (4, 2, 160) and clips.float().std() > 100
    assert (together[0] - together[1]).abs().mean() > 0.1


@pytest.mark.filterwarnings("ignore:the cache policy skipped nothing")
def test_caching(pipe: tuple[Path, StableAudioPipeline]) -> None:
    """A schedule that computes all gives the same bits; one that skips does not, and costs less."""
    model = stable_audio(pipe[0])
    sites = find_sites(model.denoiser)
    plain = latents(model, SOLVER, [1, 2], silent)
    assert {site.kind for site in sites} == {"self_attn", "cross_attn", "ff"} and len(sites) == 6
    for full in ([True] * 8, [True, False] * 4):
        with cached(model.denoiser, Schedule.steps(sites, full)) as run:
            x = latents(model, SOLVER, [1, 2], run.step)
        assert torch.equal(x, plain) is all(full)
        assert set(run.calls.values()) == {sum(full)}
    assert torch.equal(latents(model, SOLVER, [1, 2], silent), plain)


@pytest.mark.parametrize("change", [{"dtype": "bfloat16"}, {"guidance": 1.0}], ids=str)
def test_half_precision_and_no_guidance(
    pipe: tuple[Path, StableAudioPipeline], change: dict[str, Any]
) -> None:
    model, full = stable_audio(pipe[0], **change), stable_audio(pipe[0])
    x, numbers = noise(full, 2), torch.tensor([0, 1])
    with torch.inference_mode():
        ours, theirs = (
            model.predict(x, 2.0, model.conditioning(numbers), lambda _: None),
            full.predict(x, 2.0, full.conditioning(numbers), lambda _: None),
        )
        cond = full.output(x, 2.0, numbers)
    assert ours.dtype == torch.float32 and model.guidance_rows == (1 if "guidance" in change else 2)
    wanted = cond if "guidance" in change else theirs
    assert (ours - wanted).norm() / wanted.norm() < (1e-5 if "guidance" in change else 0.1)
    assert not torch.equal(ours, theirs)


def test_the_identity_holds_what_decides_the_samples(
    pipe: tuple[Path, StableAudioPipeline], tmp_path: Path
) -> None:
    base = stable_audio(pipe[0]).identity
    other = tmp_path / "other.txt"
    other.write_text("\n".join([*TEXTS[:-1], "hail"]))
    different: list[dict[str, Any]] = [
        {"guidance": 3.0},
        {"dtype": "float16"},
        {"seconds_end": 2.0},
        {"prompts": Prompts(str(other))},
        {"weights": "random"},
    ]
    identities = [stable_audio(pipe[0], **each).identity for each in different]
    assert all(each != base and each.keys() == base.keys() for each in identities)
    hashes = {value for key, value in base.items() if key.endswith("_sha256")}
    assert len(hashes) == 6 and all(len(value) == 64 for value in hashes)
    json.dumps(base)


TEXT_AND_DECODER = (
    "projection_model/config.json",
    "text_encoder/config.json",
    "vae/config.json",
    "tokenizer/tokenizer.json",
    "tokenizer/tokenizer_config.json",
)


@pytest.mark.parametrize("name", TEXT_AND_DECODER)
def test_the_identity_covers_every_part(
    pipe: tuple[Path, StableAudioPipeline], tmp_path: Path, name: str
) -> None:
    edited = Path(shutil.copytree(pipe[0], tmp_path / "model"))
    before = stable_audio(edited).identity
    assert before == stable_audio(pipe[0]).identity
    path = edited / name
    path.write_text(json.dumps(json.loads(path.read_text()) | {"note": 1}))
    assert stable_audio(edited).identity != before
