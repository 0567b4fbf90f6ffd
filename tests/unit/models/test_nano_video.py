"""The embedded text-to-video model: what it says, what it is told, and what it refuses."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from smoothbench.caching import Schedule, cached, find_sites
from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build, build_model
from smoothbench.errors import UsageError
from smoothbench.media.codecs import Webp
from smoothbench.models.base.prompts import Prompts
from smoothbench.models.nano.caption_lists import LISTS
from smoothbench.models.nano.video.autoencoder import CHANNELS, LATENT
from smoothbench.models.nano.video.classifier import checked_clips, load_classifier
from smoothbench.models.nano.video.corpus import FPS, FRAMES, SIZE
from smoothbench.models.nano.video.denoiser import placed
from smoothbench.models.nano.video.files import embedded
from smoothbench.models.nano.video.grammar import ATTRIBUTES, scenes
from smoothbench.models.nano.video.prompts import embedded_prompts, labels, scenes_of, table
from smoothbench.models.nano.video.text import TOKENS, VOCABULARY
from smoothbench.models.nano.video.train_denoiser import LOGIT, Joint, squared_error, times
from smoothbench.sampling.loop import latents, silent
from smoothbench.solvers.rflow import RectifiedFlow
from tests.support.compose import composed

FEW = RectifiedFlow(steps=4)
FILES = (
    "denoiser/config.json",
    "denoiser/model.safetensors",
    "text.safetensors",
    "autoencoder/decoder.safetensors",
)


def built(*overrides: str) -> Any:
    cfg = settings(composed("model=opensora_nano", "solver=rflow", "metrics=[fd_nano]", *overrides))
    return build_model(cfg.model, torch.device("cpu"))


@pytest.fixture(scope="module")
def nano() -> Any:
    return built()


# --- prompts and clips


def test_prompt_lists_are_the_grammar(nano: Any) -> None:
    for name, held_out in (("seen", False), ("held_out", True)):
        assert embedded(LISTS[name]).read_text() == table(held_out)
        texts = embedded_prompts(name).texts
        assert set(scenes_of(texts)) == {s for s in scenes() if s.has_prompts and s.held_out == held_out}
    marked = {name: labels(nano.prompts, name) for name in (*ATTRIBUTES, "all")}
    for row, text in enumerate(nano.prompts.texts[:40]):
        for name in ("item", "colour", "motion"):
            assert ATTRIBUTES[name][marked[name][row]] in text
        assert ATTRIBUTES["speed"][marked["speed"][row]] in text or "stands still" in text
    whole = torch.zeros_like(marked["all"])
    for name, values in ATTRIBUTES.items():
        whole = whole * len(values) + marked[name]
    assert torch.equal(whole, marked["all"])


def test_a_clip_decodes_alike_in_any_batch_and_survives_its_file(nano: Any) -> None:
    x = torch.randn(3, CHANNELS, FRAMES, LATENT, LATENT, generator=torch.Generator().manual_seed(0))
    clips = nano.decode(x)
    assert clips.dtype == torch.uint8 and clips.shape == (3, FRAMES, 3, SIZE, SIZE)
    assert torch.equal(clips[1], nano.decode(x[1:2])[0])
    assert torch.equal(nano.media.decode(nano.media.encode(clips[1])), clips[1])
    assert isinstance(nano.media, Webp) and nano.media.fps == FPS


# --- the model


def test_sites_costs_and_rows(nano: Any) -> None:
    sites = find_sites(nano.denoiser)
    kinds = {
        f"{part}_{kind}" for part in ("spatial", "temporal") for kind in ("self_attn", "cross_attn", "ff")
    }
    assert {site.kind for site in sites} == kinds and len(sites) == 6 * nano.config["depth"]
    assert (nano.guidance_rows, nano.forwards) == (2, 1)
    assert nano.sample_shape == (CHANNELS, FRAMES, LATENT, LATENT)
    assert nano.labels_or_prompts([0, 1]).tolist() == [0, 1] and nano.unconditional(2).tolist() == [-1, -1]
    calibration = set(nano.labels_or_prompts(range(999 * 10**6, 999 * 10**6 + 100)).tolist())
    assert not calibration & set(nano.labels_or_prompts(range(1000)).tolist())


def test_no_prompt_is_the_null_caption(nano: Any) -> None:
    states, seen = nano.context(torch.tensor([4, -1]))
    assert states.shape == (2, 1, TOKENS, 64) and seen.shape == (2, TOKENS)
    assert torch.equal(states[1, 0], nano.denoiser.y_embedder.y_embedding) and seen[1].all()
    words = VOCABULARY.tokenize([nano.prompts.texts[4]])
    assert torch.equal(seen[0], words[0] > 0) and states[0, 0, ~seen[0]].abs().sum() == 0


def test_guidance_mixes_caption_and_null_of_as_many_words(nano: Any) -> None:
    x, asked = torch.randn(2, *nano.sample_shape), torch.tensor([0, 7])
    null = nano.denoiser.y_embedder.y_embedding[None, None].expand(2, -1, -1, -1)
    with torch.inference_mode():
        cond = nano.output(x, 500.0, asked)
        uncond = nano._run(nano.denoiser, x, 500.0, null, nano.context(asked)[1])
        guided = nano.predict(x, 500.0, nano.conditioning(asked), lambda forward_index: None)
    torch.testing.assert_close(guided, uncond + nano.guidance * (cond - uncond), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(cond, uncond, atol=1e-2)


@pytest.mark.slow
def test_the_same_clip_at_any_batch_size_cached_or_not(nano: Any) -> None:
    full = Schedule.steps(find_sites(nano.denoiser), [True] * 4, {"method": "all"})
    whole = latents(nano, FEW, range(5), silent)
    with pytest.warns(UserWarning, match="skipped nothing"), cached(nano.denoiser, full, evals=4):
        torch.testing.assert_close(latents(nano, FEW, range(5), silent), whole, rtol=0, atol=0)
    for seed in (0, 3):
        torch.testing.assert_close(latents(nano, FEW, [seed], silent)[0], whole[seed], rtol=0, atol=1e-4)


@pytest.mark.slow
def test_the_classifier_sees_what_was_asked(nano: Any) -> None:
    """Chance is 1 in 6, 6, 8 and about 2; the card's rates are of 30 steps."""
    seeds = range(10)
    clips = nano.decode(latents(nano, RectifiedFlow(steps=12), seeds, silent))
    found = load_classifier("evaluators/classifier.safetensors")(clips)
    for name in ATTRIBUTES:
        asked = labels(nano.prompts, name)[nano.labels_or_prompts(seeds)]
        assert (found[name].argmax(1) == asked).float().mean() >= 0.7, name


def test_evaluation_nodes_fit_the_clips(nano: Any) -> None:
    cfg = settings(composed("model=opensora_nano", "metrics=[fd_nano]")).model["evaluation"]
    nodes = {key: build(node, f"model.evaluation.{key}") for key, node in cfg.items()}
    clips = torch.randint(256, (2, FRAMES, 3, SIZE, SIZE), dtype=torch.uint8)
    outputs = nodes["encoder"](clips)
    joint = torch.zeros(2, 1)
    for name in ATTRIBUTES:
        joint = (joint[:, :, None] + outputs[name].log_softmax(1)[:, None]).flatten(1)
    torch.testing.assert_close(outputs["logits"].log_softmax(1), joint, rtol=1e-4, atol=1e-4)
    seen = nodes["frames"](clips.flatten(0, 1))
    torch.testing.assert_close(seen["features"].unflatten(0, (2, FRAMES)), outputs["frames"])
    assert nodes["frames"].digest == nodes["encoder"].digest
    assert Path(nodes["reference"]).is_file()


# --- training


def test_each_frame_is_told_its_place_and_nothing_else() -> None:
    z = torch.randn(2, CHANNELS, FRAMES, LATENT, LATENT)
    told = placed(z)
    assert told.shape == (2, CHANNELS + 1, FRAMES, LATENT, LATENT) and torch.equal(told[:, :CHANNELS], z)
    code = told[:, CHANNELS].unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).transpose(3, 4).flatten(4)
    assert torch.equal(code, code[:1, :, :1, :1].expand_as(code))  # the same in each patch of each clip
    places = code[0, :, 0, 0]
    assert len({tuple(place) for place in places.tolist()}) == FRAMES and (places[:, 0].diff() < 0).all()


def test_times_are_logit_normal_and_spread_evenly() -> None:
    t = times(1000, torch.Generator().manual_seed(0)).logit()
    assert (t.mean().item(), t.std().item()) == pytest.approx(LOGIT, abs=0.02)
    assert (t > LOGIT[0]).sum() == 500 and t.sigmoid().min() > 0 and t.sigmoid().max() < 1


@pytest.mark.slow
def test_training_lowers_the_loss() -> None:
    torch.manual_seed(0)
    joint, generator = Joint(), torch.Generator().manual_seed(0)
    clean = torch.randn(1, CHANNELS, 1, 1, 1, generator=generator).expand(4, CHANNELS, FRAMES, LATENT, LATENT)
    batch = clean, VOCABULARY.tokenize([scene.caption for scene in scenes()[:4]])
    optimizer = torch.optim.AdamW(joint.parameters(), 3e-3)
    losses = []
    for _ in range(15):
        loss = squared_error(joint, batch, generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-3:]) / 3 < 0.7 * losses[0]
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in joint.text.parameters())


# --- what it refuses


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.prompts.list=all", "model.prompts.list must be seen or held_out, not all"),
        ("model.path=/nowhere", "/nowhere/denoiser: no such folder"),
        ("model.guidance=much", "model.guidance must be a number"),
    ],
)
def test_settings_out_of_range_are_one_clear_line(override: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        built(override)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_damaged_weights_are_refused_by_name(tmp_path: Path) -> None:
    copy_weights(tmp_path)
    assert built(f"model.path={tmp_path}").identity == built().identity
    (tmp_path / "text.safetensors").unlink()
    with pytest.raises(UsageError, match=r"text\.safetensors: no such file"):
        built(f"model.path={tmp_path}")
    (tmp_path / "text.safetensors").write_bytes(b"nonsense")
    with pytest.raises(UsageError, match=r"text\.safetensors: text \('nonsense'\)"):
        built(f"model.path={tmp_path}")
    copy_weights(tmp_path)
    config = tmp_path / "denoiser" / "config.json"
    config.write_text(config.read_text().replace('"in_channels": 5', '"in_channels": 4'))
    with pytest.raises(UsageError, match=r"config\.json: in_channels must be 5, not 4"):
        built(f"model.path={tmp_path}")
    copy_weights(tmp_path)
    file = tmp_path / "denoiser" / "model.safetensors"
    save_file(dict(list(load_file(file).items())[1:]), file)
    with pytest.raises(UsageError, match=r"model\.safetensors: of another model"):
        built(f"model.path={tmp_path}")


def copy_weights(folder: Path) -> None:
    for name in FILES:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(embedded(name).read_bytes())


def test_prompts_and_clips_outside_what_is_known(nano: Any, tmp_path: Path) -> None:
    own = tmp_path / "prompts.txt"
    own.write_text("a red bag grows slowly\na red bag stands slowly\n")
    with pytest.raises(ValueError, match="'a red bag stands slowly' is not of the grammar"):
        labels(Prompts(str(own)), "item")
    with pytest.raises(ValueError, match="attribute must be item"):
        labels(nano.prompts, "tempo")
    for wrong in (torch.zeros(2, FRAMES, 3, SIZE, SIZE), torch.zeros(2, 3, SIZE, SIZE, dtype=torch.uint8)):
        with pytest.raises(ValueError, match=r"take uint8 \[N, 12, 3, 32, 32\]"):
            checked_clips(wrong)
