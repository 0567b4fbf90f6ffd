"""The embedded text-to-audio model: its data, its codec, its conditioning, what it says and what it refuses."""

import math
from typing import Any

import pytest
import torch

from smoothbench.caching import Schedule, cached, find_sites
from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build, build_model
from smoothbench.media.codecs import Flac
from smoothbench.models.nano.audio.codec import CHANNELS, LENGTH
from smoothbench.models.nano.audio.conditioner import VOCABULARY, Conditioner
from smoothbench.models.nano.audio.files import embedded
from smoothbench.models.nano.audio.grammar import INSTRUMENTS, PATTERNS, REGISTERS, sounds
from smoothbench.models.nano.audio.prompts import embedded_prompts, labels, sound_of, table
from smoothbench.models.nano.audio.spectrogram import (
    RATE,
    SAMPLES,
)
from smoothbench.models.nano.audio.tagger import ATTRIBUTES, load_tagger
from smoothbench.models.nano.audio.train_denoiser import Joint, squared_error
from smoothbench.models.nano.caption_lists import LISTS
from smoothbench.sampling.loop import latents, silent
from smoothbench.solvers.dpmpp_3m_sde import DPMSolverPlusPlus3MSDE
from tests.support.compose import composed

FEW = DPMSolverPlusPlus3MSDE(steps=4, sigma_min=0.05, sigma_max=80.0)


def built(*overrides: str) -> Any:
    cfg = settings(
        composed("model=stable_audio_nano", "solver=dpmpp_3m_sde", "metrics=[fd_nano]", *overrides)
    )
    return build_model(cfg.model, torch.device("cpu"))


@pytest.fixture(scope="module")
def nano() -> Any:
    return built()


def tone(hertz: float) -> torch.Tensor:
    wave = 0.5 * torch.sin(2 * math.pi * hertz * torch.arange(SAMPLES) / RATE)
    return (wave * 32767).round().to(torch.int16)


# --- prompts and clips


def test_prompt_lists_are_the_grammar(nano: Any) -> None:
    for name, held_out in (("seen", False), ("held_out", True)):
        assert embedded(LISTS[name]).read_text() == table(held_out)
        texts = embedded_prompts(name).texts
        assert {sound_of(text) for text in texts} == {s for s in sounds() if s.held_out == held_out}
    marked = {name: labels(nano.prompts, name) for name in (*ATTRIBUTES, "all")}
    for row, text in enumerate(nano.prompts.texts[:40]):
        assert INSTRUMENTS[marked["instrument"][row]] in text and PATTERNS[marked["pattern"][row]] in text
        assert REGISTERS[marked["register"][row]] in text or "drum kit" in text
    combined = (marked["instrument"] * len(REGISTERS) + marked["register"]) * len(PATTERNS) + marked[
        "pattern"
    ]
    assert torch.equal(combined, marked["all"])


def test_a_clip_decodes_alike_in_any_batch(nano: Any) -> None:
    x = torch.randn(3, CHANNELS, LENGTH, generator=torch.Generator().manual_seed(0))
    clips = nano.decode(x)
    assert clips.dtype == torch.int16 and clips.shape == (3, 1, SAMPLES) and clips.abs().max() > 0
    assert torch.equal(clips[1], nano.decode(x[1:2])[0])
    assert torch.equal(nano.media.decode(nano.media.encode(clips[1])), clips[1])
    assert isinstance(nano.media, Flac) and nano.media.rate == RATE


# --- the model


def test_sites_costs_and_rows(nano: Any) -> None:
    kinds = [site.kind for site in find_sites(nano.denoiser)]
    assert sorted(set(kinds)) == ["cross_attn", "ff", "self_attn"] and len(kinds) == 18
    assert (nano.guidance_rows, nano.forwards, nano.sample_shape) == (2, 1, (CHANNELS, LENGTH))
    assert nano.labels_or_prompts([0, 1, 10**6]).tolist()[:2] == [0, 1] and nano.unconditional(
        2
    ).tolist() == [
        -1,
        -1,
    ]


def test_no_prompt_is_silence_for_the_cross_attention_alone(nano: Any) -> None:
    seen, overall = nano.context(torch.tensor([4, -1]))
    assert seen.shape == (2, 18, 64) and seen[0].abs().sum() > 0 and seen[1].abs().sum() == 0
    assert torch.equal(overall[0], overall[1]) and overall.abs().sum() > 0
    words = VOCABULARY.tokenize([nano.prompts.texts[4]])
    alone = nano._conditioner(words, torch.tensor([2.0]))[0]
    assert torch.equal(seen[0], alone[0]) and (alone[0, (words[0] == 0).nonzero().min() : 16] == 0).all()


def test_guidance_mixes_the_two_rows(nano: Any) -> None:
    x, prompts = torch.randn(2, *nano.sample_shape), torch.tensor([0, 7])
    with torch.inference_mode():
        cond, uncond = nano.output(x, 1.0, prompts), nano.output(x, 1.0, nano.unconditional(2))
        guided = nano.predict(x, 1.0, nano.conditioning(prompts), lambda forward_index: None)
    torch.testing.assert_close(guided, uncond + nano.guidance * (cond - uncond), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(cond, uncond, atol=1e-2)


def test_the_same_clip_at_any_batch_size_cached_or_not(nano: Any) -> None:
    full = Schedule.steps(find_sites(nano.denoiser), [True] * 4, {"method": "all"})
    at_once = latents(nano, FEW, range(5), silent)
    with pytest.warns(UserWarning, match="skipped nothing"), cached(nano.denoiser, full, evals=4):
        torch.testing.assert_close(latents(nano, FEW, range(5), silent), at_once, rtol=0, atol=0)
    for seed in (0, 3):
        torch.testing.assert_close(latents(nano, FEW, [seed], silent)[0], at_once[seed], rtol=0, atol=1e-4)


@pytest.mark.slow
def test_seconds_and_captions_change_the_clip(nano: Any) -> None:
    shorter = built("model.seconds=1.0")
    assert shorter.identity != nano.identity
    a, b = (each.decode(latents(each, SETTLED, [3], silent)) for each in (nano, shorter))
    late = slice(round(1.2 * RATE), round(1.9 * RATE))
    assert b[..., late].float().square().mean() < 0.05 * a[..., late].float().square().mean()


SETTLED = DPMSolverPlusPlus3MSDE(steps=20, sigma_min=0.05, sigma_max=80.0)


@pytest.mark.slow
def test_the_tagger_hears_what_was_asked(nano: Any) -> None:
    """Chance is 1 in 9 for instruments and patterns, 1 in 4 for registers; the card's rates are of 100 steps."""
    seeds = range(10)
    clips = nano.decode(latents(nano, SETTLED, seeds, silent))
    tags = load_tagger("evaluators/tagger.safetensors")(clips)
    for name in ATTRIBUTES:
        wanted = labels(nano.prompts, name)[nano.labels_or_prompts(seeds)]
        assert (tags[name].argmax(1) == wanted).float().mean() >= 0.7, name


def test_evaluation_nodes_fit_the_prompts(nano: Any) -> None:
    cfg = composed("model=stable_audio_nano", "metrics=[fd_nano]")
    nodes = {
        key: build(node, f"model.evaluation.{key}") for key, node in settings(cfg).model["evaluation"].items()
    }
    assert nodes["tags"].shape == (len(nano.prompts.texts), 324)
    heard = nodes["tags"].argmax(1)
    assert (heard == labels(nano.prompts, "all")).float().mean() > 0.9
    words = nodes["clap"].of_captions(nano.prompts.texts)
    torch.testing.assert_close(words.norm(dim=1), torch.ones(len(words)))
    outputs = nodes["encoder"](torch.stack([tone(440.0), tone(1000.0)])[:, None])
    product = [outputs[name].log_softmax(1) for name in ATTRIBUTES]
    joint = product[0][:, :, None, None] + product[1][:, None, :, None] + product[2][:, None, None, :]
    torch.testing.assert_close(outputs["logits"].log_softmax(1), joint.flatten(1), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_training_lowers_the_loss() -> None:
    torch.manual_seed(0)
    joint, generator = Joint(), torch.Generator().manual_seed(0)
    clean = torch.randn(1, CHANNELS, 1, generator=generator).expand(4, CHANNELS, LENGTH)
    batch = clean, VOCABULARY.tokenize([sound.caption for sound in sounds()[:4]]), torch.full((4,), 1.5)
    optimizer = torch.optim.AdamW(joint.parameters(), 3e-3)
    losses = []
    for _ in range(20):
        loss = squared_error(joint, batch, generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(1, abs=0.15) and sum(losses[-3:]) / 3 < 0.7 * losses[0]
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in joint.conditioner.text.parameters())


# --- what it refuses


def test_a_conditioner_forgets_padding() -> None:
    conditioner = Conditioner().eval()
    short, long = VOCABULARY.tokenize(["a piano"]), VOCABULARY.tokenize(["a piano plays"])
    with torch.inference_mode():
        first, _ = conditioner(short, torch.tensor([2.0]))
        both, _ = conditioner(torch.cat([short, long]), torch.tensor([2.0, 2.0]))
    torch.testing.assert_close(first[0], both[0])
    assert not torch.allclose(both[0, :2], both[1, :2], atol=1e-4)
