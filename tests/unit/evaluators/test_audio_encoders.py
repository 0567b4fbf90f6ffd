"""What published audio networks are shown, exactly, and what their encoders refuse."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from smoothbench.evaluators.audio_windows import PEAK, at_peak, resampled, windows
from smoothbench.evaluators.clap import caption_embeddings, load_clap
from smoothbench.evaluators.openl3 import WindowEncoder
from smoothbench.evaluators.passt import WindowTagger
from smoothbench.models.base.prompts import Prompts
from tests.support.audio_nets import Pooled, save_tiny_clap, stereo
from tests.support.latent_dits import refusal
from tests.support.stable_audio import TEXTS

needs_transformers = pytest.mark.skipif(find_spec("transformers") is None, reason="needs the extra audio")


# --- what networks are shown


@pytest.mark.parametrize(("rate", "target"), [(44_100, 48_000), (44_100, 32_000), (16_000, 32_000)])
def test_resampling_keeps_tones_and_drops_what_the_new_rate_cannot_hold(rate: int, target: int) -> None:
    low = min(rate, target) / 2
    time, later = torch.arange(rate).double() / rate, torch.arange(target).double() / target
    for pitch in (0.05 * low, 0.88 * low):
        found = resampled(torch.sin(2 * torch.pi * pitch * time), rate, target)
        assert found.shape == (target,)
        middle = slice(target // 4, 3 * target // 4)
        wanted = torch.sin(2 * torch.pi * pitch * later)
        torch.testing.assert_close(found[middle], wanted[middle], rtol=0, atol=1e-3)
    if target < rate:
        above = resampled(torch.sin(2 * torch.pi * 1.05 * low * time), rate, target)
        assert above[target // 4 : 3 * target // 4].abs().max() < 1e-4


def test_peaks_are_those_of_whole_clips() -> None:
    audio = torch.tensor([[[0.1, -0.5], [0.25, 0.0]], [[0.01, 0.0], [0.0, 0.0]]], dtype=torch.float64)
    found = at_peak(audio, "OpenL3")
    assert found.abs().amax((1, 2)).tolist() == pytest.approx([10 ** (-0.05)] * 2)
    assert found[0, 1, 0] == pytest.approx(PEAK / 2), "the balance of the sides stays"


@pytest.mark.parametrize(("seconds", "count"), [(10.0, 20), (47.55, 96), (1.0, 2), (10.01, 21)])
def test_openl3_has_its_number_of_windows(seconds: float, count: int) -> None:
    found = windows(torch.arange(seconds * 48_000), 48_000, 24_000, lead=24_000)
    assert found.shape == (count, 48_000)
    assert (found[0, :24_000] == 0).all() and found[0, 24_001] == 1 and found[1, 0] == 0 and found[1, 5] == 5


@pytest.mark.parametrize(
    ("seconds", "starts"), [(10, [0]), (7, [0]), (10.5, [0, 5]), (15, [0, 5]), (47.55, range(0, 45, 5))]
)
def test_passt_has_its_windows(seconds: float, starts: Any) -> None:
    """As the published loop: from 0, every 5 s, below the larger of 5 s and all but the last 5 s."""
    found = windows(1 + torch.arange(seconds * 32_000), 320_000, 160_000)
    assert ((found[:, 0] - 1) / 32_000).tolist() == list(starts) and found[-1, -1] == (
        0 if seconds % 5 else seconds * 32_000
    )


def test_left_and_right_are_embedded_apart_and_side_by_side() -> None:
    encoder, clips = WindowEncoder(Pooled(6), rate=44_100), stereo(66_150)
    found = encoder(clips)["windows"]
    assert found.shape == (2, 3, 12) and found.dtype == torch.float32
    audio = resampled(at_peak(clips.double() / 32768, "OpenL3"), 44_100, 48_000)
    padded = torch.nn.functional.pad(audio, (24_000, 0))
    direct = Pooled(6)(padded[1, 1, None, 24_000:72_000].float())
    torch.testing.assert_close(found[1, 1, 6:], direct[0])
    torch.testing.assert_close(found[:1], encoder(clips[:1])["windows"])
    quiet = WindowEncoder(Pooled(6), 44_100)((clips // 4).to(torch.int16))["windows"]
    torch.testing.assert_close(quiet, found, rtol=0.01, atol=0.01)
    assert WindowEncoder(Pooled(6), 44_100, channels=1)(clips[:, :1])["windows"].shape == (2, 3, 6)


def test_tags_are_the_mean_over_windows() -> None:
    clips = stereo(12 * 16_000, 1)
    found = WindowTagger(Pooled(5), rate=16_000)(clips)["logits"]
    audio = at_peak(resampled(clips.double().mean(1) / 32768, 16_000, 32_000), "PaSST")[0]
    first, second = audio[:320_000], torch.nn.functional.pad(audio[160_000:], (0, 96_000))
    torch.testing.assert_close(found[0], Pooled(5)(torch.stack([first, second]).float()).mean(0))


@needs_transformers
def test_clap_hears_a_clip_alike_in_any_batch_and_leaves_numpy_as_it_was(tmp_path: Path) -> None:
    towers, clips = load_clap(str(save_tiny_clap(tmp_path)), rate=44_100), stereo(11 * 44_100)
    before = np.random.get_state()[1].copy()  # type: ignore[index, union-attr]
    found = towers(clips)["embedding"]
    assert (np.random.get_state()[1] == before).all()  # type: ignore[index]
    torch.testing.assert_close(found.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(towers(clips[1:])["embedding"], found[1:])
    short = clips[..., : 2 * 44_100]
    torch.testing.assert_close(towers(short[1:])["embedding"], towers(short)["embedding"][1:])
    audio = at_peak(resampled(short.double().mean(1) / 32768, 44_100, 48_000), "CLAP")
    asked = towers._extractor(
        (audio[0] * 32767).trunc().numpy() / 32767, sampling_rate=48_000, return_tensors="pt"
    )
    with torch.inference_mode():
        bare = towers._network.get_audio_features(asked["input_features"].float(), torch.tensor([[False]]))
    torch.testing.assert_close(
        towers(short[:1])["embedding"], torch.nn.functional.normalize(bare.pooler_output)
    )


@needs_transformers
def test_captions_have_their_own_embeddings(tmp_path: Path) -> None:
    towers = load_clap(str(save_tiny_clap(tmp_path)), rate=44_100)
    (tmp_path / "prompts.txt").write_text("\n".join([*TEXTS, "long " * 99]))
    found = caption_embeddings(towers, Prompts(str(tmp_path / "prompts.txt")))
    assert found.shape == (5, 12) and len(found.unique(dim=0)) == 5
    torch.testing.assert_close(towers.of_captions(TEXTS[1:2]), found[1:2])
    with pytest.raises(ValueError, match="no prompts to embed"):
        caption_embeddings(towers, Prompts(None))


# --- what is refused


@pytest.mark.parametrize("encoder", [WindowEncoder(Pooled(3), 16_000), WindowTagger(Pooled(3), 16_000)])
def test_bad_clips_are_one_clear_line(encoder: Any) -> None:
    clips = stereo(32_000)
    silent = clips.clone()
    silent[1] = 0
    for wrong, message in (
        (clips.float() / 0, r"takes clips int16 \[N, C, T\], not torch.float32"),
        (clips[0], r"takes clips int16 \[N, C, T\]"),
        (clips.repeat(1, 2, 1), "not 4: set its `channels`"),
        (clips[..., :15_999], "needs clips of at least"),
        (silent, "1 of 2 clips are silent"),
    ):
        with pytest.raises(ValueError, match=message) as error:
            encoder(wrong)
        assert "\n" not in str(error.value)


def test_mono_for_stereo_and_networks_of_another_kind() -> None:
    clips = stereo(32_000)
    with pytest.raises(ValueError, match="OpenL3 takes clips of 2 channels, not 1"):
        WindowEncoder(Pooled(3), 16_000)(clips[:, :1])
    flat = torch.nn.Flatten(0)
    for make in (WindowEncoder, WindowTagger):
        with pytest.raises(ValueError, match=r"encoder.network gives \[\d+\] for \d windows"):
            make(flat, 16_000)(clips)
        with pytest.raises(ValueError, match="network must be a node with a _target_"):
            make(None, 16_000)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="rate=0"):
            make(flat, 0)


@needs_transformers
def test_the_digest_of_clap_covers_its_settings(tmp_path: Path) -> None:
    folder = save_tiny_clap(tmp_path)
    digests = {load_clap(str(folder), 16_000).digest}
    names = ("config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json")
    for count, name in enumerate(names, 2):
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()), indent=5))
        digests.add(load_clap(str(folder), 16_000).digest)
        assert len(digests) == count, name


def test_opposite_channels_have_no_peak() -> None:
    clips = stereo(32_000)
    clips[1, 1] = -clips[1, 0]
    refusal(lambda: WindowTagger(Pooled(3), 16_000)(clips), "1 of 2 clips", "peak of 0", "PaSST")
    refusal(lambda: at_peak(torch.zeros(1, 5), "CLAP"), "peak of 0", "CLAP")
    WindowEncoder(Pooled(3), 16_000)(clips)  # left and right apart


def test_a_model_with_towers_of_its_own_is_sent_to_their_score() -> None:
    towers: Any = nn.Linear(1, 1)
    with pytest.raises(ValueError, match=r"its own \(Linear\): metrics=audio/clap_nano$"):
        load_clap(towers, rate=16_000)
