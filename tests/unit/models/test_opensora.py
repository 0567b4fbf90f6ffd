"""Open-Sora 1.2 on tiny parts in the published layout: what it is told, what it gives, what it costs."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from transformers import T5Config, T5EncoderModel

from smoothbench.caching import Schedule, cached, find_sites
from smoothbench.caching.mac_counter import MacCounter, measured_sites
from smoothbench.models.base.prompts import Prompts
from smoothbench.models.opensora import text
from smoothbench.models.opensora.published import OpenSora
from smoothbench.models.opensora.sizes import LENGTHS, RESOLUTIONS, size_of
from smoothbench.models.opensora.text import assembled
from smoothbench.protocols import BLOCK
from smoothbench.sampling.loop import latents, silent
from tests.support.latent_dits import by_yaml
from tests.support.opensora import LONG, SOLVER, TEXTS, opensora, published

TERA = 1e12


@pytest.fixture(scope="module")
def tiny_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model's parts, not to be written to."""
    return published(tmp_path_factory.mktemp("published"))


@pytest.fixture(scope="module")
def tiny_opensora(tiny_repository: Path) -> OpenSora:
    return opensora(tiny_repository)


def noise(model: OpenSora, rows: int) -> torch.Tensor:
    return torch.randn(rows, *model.sample_shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.slow
def test_the_published_size(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The paper's 1612.1 TMACs, taken apart (metrics of the issue): without any weights."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    model: Any = by_yaml("opensora")
    sites, rest = measured_sites(*model.skeleton())
    linear = 30 * (sum(site.macs_linear for site in sites) + rest.linear) / TERA
    with_attention = 30 * (sum(site.macs for site in sites) + rest.total) / TERA
    assert len(sites) == 168 and len({site.kind for site in sites}) == 6
    assert (model.guidance_rows, model.forwards, model.sample_shape) == (2, 1, (4, 15, 60, 106))
    parts = {name: macs.linear / TERA for name, macs in model.pipeline.items()}
    assert linear == pytest.approx(1489.67, abs=5e-3) and with_attention == pytest.approx(1650.21, abs=5e-3)
    assert parts == pytest.approx(
        {"text_encoder": 1.389, "spatial_vae": 98.201, "temporal_vae": 22.837}, abs=5e-4
    )
    assert linear + sum(parts.values()) == pytest.approx(1612.10, abs=5e-3)
    assert model.pipeline["spatial_vae"].total / 51 / TERA == pytest.approx(1.96693, abs=1e-5)
    assert not {"denoiser", "decoder", "text"} & vars(model).keys(), "counting loads nothing"
    line = str(model.unavailable_reason)
    assert "hf download hpcai-tech/OpenSora-STDiT-v3 (licence Apache-2.0)" in line and "\n" not in line


@pytest.mark.parametrize("form", ["gated-gelu", "relu"])
def test_the_text_encoder_is_counted_as_it_runs(form: str, tiny_repository: Path, tmp_path: Path) -> None:
    from smoothbench.models.opensora.costs import pipeline
    from smoothbench.models.weights.locate import Files

    sizes = {"d_model": 24, "d_kv": 5, "d_ff": 40, "num_layers": 3, "num_heads": 4, "feed_forward_proj": form}
    (tmp_path / "config.json").write_text(json.dumps(sizes))
    with MacCounter() as counter, torch.no_grad():
        T5EncoderModel(T5Config(vocab_size=9, **sizes)).eval()(torch.zeros(1, 7, dtype=torch.long))
    vae = Files(tiny_repository / "vae/model.safetensors", tiny_repository / "vae")
    files = Files(tmp_path / "model.safetensors", tmp_path)
    counted = pipeline(vae, files, size_of("144p", "9:16", "2s"), (4, 15, 18, 32), 7)["text_encoder"]
    assert counted == counter.macs() and counted.attention > 0


def test_sizes() -> None:
    """Latents and tokens of a frame as the table of the reference has them."""
    assert LENGTHS == {"2s": 51, "4s": 102, "8s": 204, "16s": 408}
    lying = {
        "144p": (144, 256),
        "240p": (240, 426),
        "360p": (360, 640),
        "480p": (480, 854),
        "720p": (720, 1280),
    }
    square = {"144p": 192, "240p": 320, "360p": 480, "480p": 640, "720p": 960}
    assert {
        name: {"9:16": size, "16:9": size[::-1], "1:1": (square[name],) * 2} for name, size in lying.items()
    } == RESOLUTIONS
    latent = {name: size_of(name, "9:16", "2s").latent for name in lying}
    assert latent["480p"] == (15, 60, 106) and latent["360p"] == (15, 45, 80)
    tokens = {name: -(-rows // 2) * -(-columns // 2) for name, (_, rows, columns) in latent.items()}
    assert tokens == {"144p": 144, "240p": 405, "360p": 920, "480p": 1590, "720p": 3600}
    assert [size_of("144p", "1:1", length).latent[0] for length in LENGTHS] == [15, 30, 60, 120]
    assert size_of("480p", "16:9", "2s").latent == (15, 106, 60)


def test_prompts_are_assembled_then_cleaned() -> None:
    assert assembled("A  Cat &amp; a dog, see https://x.com/y", 6.5, None, None) == (
        "a cat a dog, see aesthetic score: 6.5."
    )
    assert assembled("Rain. Aesthetic score: 5.", 6.5, None, None).endswith("aesthetic score: 6.5.")
    text = "rain aesthetic score: 5.0. motion score: 1. camera motion: none."
    assert assembled(text, 6.5, 2, "pan left") == text
    assert assembled("rain", None, 2, "pan left") == "rain motion score: 2.0. camera motion: pan left."


def test_the_guided_prediction(tiny_opensora: OpenSora) -> None:
    """Prompts through T5 by hand; the null caption is as long as the prompt; then guided."""
    assert tiny_opensora.text is not None
    tokenizer, encoder = tiny_opensora.text._t5.tokenizer, tiny_opensora.text._t5.encoder
    x, t, number = noise(tiny_opensora, 1), 700.0, 1
    with torch.inference_mode():
        asked = tokenizer(TEXTS[number].lower(), return_tensors="pt")
        caption = encoder(asked.input_ids)[0]
        null = tiny_opensora.denoiser.get_buffer("y_embedder.y_embedding")[None, : caption.shape[1]]
        conditions = {"fps": torch.tensor([24.0]), "height": 144.0, "width": 256.0, "mask": None}
        rows = [
            tiny_opensora.denoiser(x, torch.tensor([t]), y=y[:, None], **conditions)[:, :4]
            for y in (caption, null)
        ]
        forwards: list[int] = []
        guided = tiny_opensora.predict(
            x, t, tiny_opensora.conditioning(torch.tensor([number])), forwards.append
        )
        torch.testing.assert_close(guided, rows[1] + 7 * (rows[0] - rows[1]), rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(
            tiny_opensora.output(x, t, torch.tensor([number])), rows[0], rtol=1e-4, atol=1e-5
        )
    assert forwards == [0] and (rows[0] - rows[1]).abs().mean() > 0.05
    assert tiny_opensora.output(x, t, tiny_opensora.unconditional(1)).isfinite().all()


def test_a_prompt_that_is_too_long_is_cut_and_named_once(
    tiny_repository: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = opensora(tiny_repository, aes=6.5)
    with caplog.at_level(logging.WARNING):
        mask = model.context(torch.tensor([2, 2, -1]))[1]
        model.context(torch.tensor([2]))
    lines = [record.getMessage() for record in caplog.records if record.name == text.__name__]
    assert len(lines) == 1 and LONG in lines[0] and "cut to 24" in lines[0]
    assert mask.shape == (3, 24) and mask.all()
    words = model.context(torch.tensor([0, 2]))[1].sum(1).tolist()
    assert words == [24, 24], "with its score the short one is too long too"
    assert opensora(tiny_repository).context(torch.tensor([0, 1]))[1].sum(1).tolist() == [5, 6]


def test_seeds_batches_and_caching(tiny_opensora: OpenSora) -> None:
    """Any batch gives the same clips; a schedule that skips does not, and runs what it says."""
    assert tiny_opensora.labels_or_prompts([0, 3, 4, BLOCK]).tolist() == [0, 3, 0, 0]
    assert tiny_opensora.labels_or_prompts([999 * BLOCK]).tolist() == [4], "kept for calibration"
    together = latents(tiny_opensora, SOLVER, [0, 1], silent)
    alone = torch.cat([latents(tiny_opensora, SOLVER, [seed], silent) for seed in (0, 1)])
    torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-3)
    assert (together[0] - together[1]).abs().mean() > 0.1
    sites = find_sites(tiny_opensora.denoiser)
    with cached(tiny_opensora.denoiser, Schedule.steps(sites, [True, False, True, False])) as run:
        skipped = latents(tiny_opensora, SOLVER, [0, 1], run.step)
    assert set(run.calls.values()) == {2} and len(sites) == 6 and not torch.equal(skipped, together)
    clips = tiny_opensora.decode(together)
    assert clips.dtype == torch.uint8 and clips.shape == (2, 51, 3, 18, 32) and clips.float().std() > 5
    assert torch.equal(tiny_opensora.media.decode(tiny_opensora.media.encode(clips[0])), clips[0])


@pytest.mark.parametrize("change", [{"dtype": "bfloat16"}, {"guidance": 1.0}, {"weights": "random"}], ids=str)
def test_half_precision_no_guidance_and_latency(
    tiny_repository: Path, tiny_opensora: OpenSora, change: dict[str, Any]
) -> None:
    model, x, numbers = opensora(tiny_repository, **change), noise(tiny_opensora, 1), torch.tensor([1])
    with torch.inference_mode():
        prediction = model.predict(x, 500.0, model.conditioning(numbers), lambda _: None)
        if "guidance" in change:
            wanted = tiny_opensora.output(x, 500.0, numbers)
        else:
            wanted = tiny_opensora.predict(x, 500.0, tiny_opensora.conditioning(numbers), lambda _: None)
    assert prediction.dtype == torch.float32 and prediction.isfinite().all()
    assert model.guidance_rows == (1 if "guidance" in change else 2)
    if "weights" not in change:
        assert (prediction - wanted).norm() / wanted.norm() < (1e-5 if "guidance" in change else 0.1)


def test_the_identity_holds_what_decides_the_samples(tiny_repository: Path, tmp_path: Path) -> None:
    base = opensora(tiny_repository).identity
    (tmp_path / "other.txt").write_text("\n".join([*TEXTS[:-1], "snow"]))
    different: list[dict[str, Any]] = [
        {"guidance": 3.0},
        {"dtype": "float16"},
        {"aes": 6.5},
        {"camera": "pan left"},
        {"fps": 12},
        {"prompts": Prompts(str(tmp_path / "other.txt"))},
        {"weights": "random"},
    ]
    identities = [opensora(tiny_repository, **each).identity for each in different]
    assert all(each != base and each.keys() == base.keys() for each in identities)
    assert opensora(tiny_repository, tokens=3).identity == base, "it only counts"
    assert sum(key.endswith("_sha256") for key in base) == 5
    json.dumps(base)


TEXT_AND_DECODER = (
    "vae/config.json",
    "text/text_encoder/config.json",
    "text/tokenizer/tokenizer.json",
    "text/tokenizer/tokenizer_config.json",
)


@pytest.mark.parametrize("name", TEXT_AND_DECODER)
def test_the_identity_covers_every_part(tiny_repository: Path, tmp_path: Path, name: str) -> None:
    edited = Path(shutil.copytree(tiny_repository, tmp_path / "model"))
    before = opensora(edited).identity
    assert before == opensora(tiny_repository).identity
    path = edited / name
    path.write_text(json.dumps(json.loads(path.read_text()), indent=7))
    assert opensora(edited).identity != before
    random_identity = opensora(edited, weights="random").identity
    assert {random_identity[key] for key in random_identity if key.endswith("_sha256")} > {"random"}
