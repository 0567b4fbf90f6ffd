"""What a review of the audio part found, each as a test."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor

from metrics.audio_distances import LogMelL1, MultiResolutionSTFT
from metrics.score import SampleMean
from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build_model
from smoothbench.errors import PointsFailed, UsageError
from smoothbench.evaluators.audio_windows import at_peak
from smoothbench.evaluators.clap import load_clap
from smoothbench.evaluators.openl3 import WindowEncoder
from smoothbench.evaluators.passt import WindowTagger
from smoothbench.media.codecs import pcm
from smoothbench.planning.plan import check_seed_blocks
from smoothbench.report.figures.spectrograms import log_mel
from smoothbench.sampling.point_batches import decoded
from smoothbench.scoring.scorer import Scorer
from smoothbench.solvers.dpmpp_3m_sde import DPMSolverPlusPlus3MSDE
from smoothbench.storage.feature_cache import FeatureCache
from smoothbench.storage.sample_files import Samples
from tests.support.audio_nets import Pooled, save_tiny_clap, stereo
from tests.support.compose import composed, experiment
from tests.support.latent_dits import CPU, refusal
from tests.support.stable_audio import published, stable_audio

NANO = ("model=stable_audio_nano", "metrics=[audio/mrstft,audio/mel_l1]")


@pytest.fixture(scope="module")
def nano() -> Any:
    return build_model(settings(composed(*NANO)).model, CPU)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny pipeline, not to be written to."""
    path = tmp_path_factory.mktemp("published")
    published(path)
    return path


# --- prompts: what calibrates is never evaluated on


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["seed=900", "calibration.seed=901"], "seed=900: stable_audio_nano keeps prompts .*a block below"),
        (["calibration.seed=5"], "calibration.seed=5: .*a block from there on"),
        (["training.seed=899"], "training.seed=899: .*a block from there on"),
    ],
)
def test_seed_blocks_that_take_the_others_prompts(
    nano: Any, tmp_path: Path, overrides: list[str], says: str
) -> None:
    with pytest.raises(UsageError, match=f"^{says}"):
        check_seed_blocks(settings(composed(*NANO, *overrides)), nano)
    asked = settings(composed(*overrides))  # images have no prompts
    check_seed_blocks(asked, build_model(asked.model, CPU))


def test_the_embedded_model_needs_prompts() -> None:
    node = settings(composed(*NANO)).model
    node["prompts"] = {"_target_": "smoothbench.models.base.prompts.Prompts", "file": None}
    with pytest.raises(UsageError, match=r"model\.prompts is an empty list"):
        build_model(node, CPU)


# --- identities


BESIDE = (
    "projection_model/config.json",
    "text_encoder/config.json",
    "vae/config.json",
    "tokenizer/tokenizer.json",
    "tokenizer/tokenizer_config.json",
)


@pytest.mark.parametrize("name", BESIDE)
def test_identity_of_stable_audio(whole: Path, tmp_path: Path, name: str) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "model"))
    before = stable_audio(folder).identity
    assert before == stable_audio(whole).identity
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | {"note": 1}))
    assert stable_audio(folder).identity != before


def test_digest_of_clap(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    folder = save_tiny_clap(tmp_path)
    found = {load_clap(str(folder), 16_000).digest}
    names = ("config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json")
    for count, name in enumerate(names, 2):
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()), indent=5))
        found.add(load_clap(str(folder), 16_000).digest)
        assert len(found) == count, name


# --- metrics that refuse a point's clips


def test_a_metric_that_refuses_leaves_the_others_their_scores(nano: Any, tmp_path: Path) -> None:
    scorer = Scorer(settings(composed(*NANO)).metrics, nano, FeatureCache(tmp_path))
    clips = stereo(32_768, 3)[:, :1]
    quiet = clips.clone()
    quiet[2] = clips[2].sign() * 3
    for name, audio in (("one", clips), ("two", quiet)):
        samples = Samples(tmp_path, name, range(3), 2, nano.media)
        for batch in samples.batches():
            samples.write(batch, audio[batch[0] : batch[-1] + 1], macs=1)
    one, two = (Samples(tmp_path, name, range(3), 2, nano.media) for name in ("one", "two"))
    scorer.observe(one, two, ["mrstft", "mel_l1"])
    scores, reasons = scorer.scores([("one", "two", range(3))])
    assert set(scores) == {"mel_l1@3"}
    assert len(reasons) == 1 and reasons[0].startswith("mrstft: 1 of 1 uncached clips are silent")


class Refuses(SampleMean):
    """Of pairs it takes none."""

    inputs: tuple[str, ...] = ("samples", "baseline")
    higher_is_better = True

    def per_sample(self, *inputs: Tensor) -> Tensor:
        raise ValueError("these are no good")


def test_a_metric_that_refuses_does_not_fail_the_sampling(tmp_path: Path) -> None:
    cfg = settings(composed("metrics=[psnr]"))
    node = {"metric": {"_target_": f"{__name__}.Refuses"}}
    running = experiment(tmp_path, "only=[fora]", "metrics=[psnr]", "num_samples=2")
    assert cfg.metrics.keys() == running.bench.scorer.nodes.keys()
    bench = running.bench
    scorer = Scorer({**cfg.metrics, "odd": node}, bench.model, bench.scorer.observations)
    running.bench = replace(bench, scorer=scorer)
    with pytest.raises(PointsFailed):
        running.run()
    (record,) = (each for each in running.store.records() if each.status.quality == "failed")
    assert record.reason == "odd: these are no good" and set(record.scores) == {"psnr@2"}


# --- samples that are not finite


def test_audio_that_is_not_finite_is_no_silence(nano: Any) -> None:
    for bad in (math.nan, math.inf):
        with pytest.raises(FloatingPointError, match="not finite"):
            pcm(torch.tensor([0.0, bad]))
    x = torch.zeros(3, *nano.sample_shape)
    x[1] = math.nan
    with pytest.raises(FloatingPointError, match=r"audio is not finite: 1 of 3 samples \(seeds \[8\]\)"):
        decoded(nano, x, [7, 8, 9])
    assert decoded(nano, x[:1], [7]).shape[1:] == nano.clip_shape


# --- settings and clips at their limits


def test_opposite_channels_have_no_peak() -> None:
    clips = stereo(32_000)
    clips[1, 1] = -clips[1, 0]
    refusal(lambda: WindowTagger(Pooled(3), 16_000)(clips), "1 of 2 clips", "peak of 0", "PaSST")
    refusal(lambda: at_peak(torch.zeros(1, 5), "CLAP"), "peak of 0", "CLAP")
    WindowEncoder(Pooled(3), 16_000)(clips)  # left and right apart


def test_what_is_silent_to_multi_resolution_stft() -> None:
    clips = stereo(4096, 1)
    for peak in (3, 4):
        quiet = (clips.sign() * peak).to(torch.int16)
        if peak == 3:
            refusal(lambda quiet=quiet: MultiResolutionSTFT().per_sample(clips, quiet), "clips are silent")
        else:
            assert MultiResolutionSTFT().per_sample(clips, quiet).isfinite().all()
        assert LogMelL1(16_000).per_sample(clips, quiet).isfinite().all()


def test_decibels_of_a_sine_of_full_scale() -> None:
    """As the docstrings of the two log-mel spectrograms have it."""
    time = torch.arange(44_100, dtype=torch.float64) / 44_100
    metric, found, drawn = LogMelL1(44_100), [], []
    for hertz in np.geomspace(40, 21_000, 100):
        sine = torch.sin(2 * math.pi * hertz * time)
        found.append(float(metric._decibels(sine[None])[..., 5:-5].max()))
        drawn.append(log_mel(sine.numpy()[:, None], 44_100).max())
    assert -7 < min(found) < -4 and 5.5 < max(found) < 6.2
    assert -4.7 < min(drawn) < max(drawn) < -1.2


def test_seconds_between_which_no_frame_lies(whole: Path) -> None:
    refusal(lambda: stable_audio(whole, seconds_start=1.0, seconds_end=1.01), "seconds_end=1.01", "1/64 s")
    model = stable_audio(whole, seconds_start=1.0, seconds_end=1.02)
    assert model.decode(torch.zeros(1, *model.sample_shape)).shape[1:] == model.clip_shape == (2, 1)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"rho": 1000.0}, "solver.rho=1000.0"),
        ({"rho": 1e-17}, "solver.rho=1e-17"),
        ({"sigma_min": 0.3, "sigma_max": math.nextafter(0.3, 1)}, "sigma_max=0.30000000000000004"),
    ],
    ids=str,
)
def test_noise_levels_that_do_not_fall(wrong: dict[str, float], says: str) -> None:
    refusal(lambda: DPMSolverPlusPlus3MSDE(**wrong), says, "are the same")  # type: ignore[arg-type]


# --- what is written


def test_the_documented_command_of_the_paper() -> None:
    path = Path(__file__).parents[2] / "conf/exp/paper/stable_audio_dpmpp3m.yaml"
    assert "model.evaluation.content=env" in path.read_text()
    assert OmegaConf.load(path).points.fewer.sweep["solver.steps"] == [82, 65]
