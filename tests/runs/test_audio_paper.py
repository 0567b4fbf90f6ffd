"""The published audio scores: their reference files, what is not here, and an experiment's with tiny networks."""

import io
import pickle
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build, build_model
from smoothbench.errors import UsageError
from smoothbench.evaluators import clap, openl3, passt
from smoothbench.evaluators.clap import load_clap
from smoothbench.evaluators.openl3 import WindowEncoder
from smoothbench.evaluators.passt import reference_logits
from smoothbench.models.base.prompts import Prompts
from smoothbench.scoring.scorer import Scorer
from smoothbench.storage.feature_cache import FeatureCache
from smoothbench.storage.sample_files import Samples
from tests.oracles.inception import frechet
from tests.support.audio_nets import Pooled, save_tiny_clap, stereo
from tests.support.compose import composed
from tests.support.stable_audio import TEXTS, published

needs_transformers = pytest.mark.skipif(find_spec("transformers") is None, reason="needs the extra audio")


# --- the published references of tags


def probabilities(count: int, classes: int = 7) -> Tensor:
    return torch.randn(count, classes, generator=torch.Generator().manual_seed(0)).softmax(1)


@pytest.mark.parametrize("suffix", [".pkl", ".pt"])
def test_reference_tags_are_those_of_each_prompt(tmp_path: Path, suffix: str) -> None:
    path, rows = tmp_path / f"reference{suffix}", probabilities(5)
    (tmp_path / "prompts.csv").write_text("id,caption\n12,a dog\nab-c,rain\n")
    (tmp_path / "held.csv").write_text("id,caption\nno row,snow\n")
    held = Prompts(str(tmp_path / "held.csv"), layout="csv")
    prompts = Prompts(str(tmp_path / "prompts.csv"), layout="csv", calibration=held)
    table = {"x": rows[0], 12: rows[1], "ab-c": rows[2]}
    if suffix == ".pkl":
        path.write_bytes(pickle.dumps(table))
    else:
        torch.save({str(key): value for key, value in table.items()}, path)
    found = reference_logits(str(path), prompts)
    torch.testing.assert_close(found.softmax(1), rows[1:3])
    path.write_bytes(pickle.dumps({"12": rows[0]}) if suffix == ".pkl" else b"")
    with pytest.raises(ValueError, match=r"the first has the id ab-c: leave them out|an empty file"):
        reference_logits(str(path), prompts)


class Code:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def nested(mark: Path) -> bytes:
    """A pickle of a tensor whose storage is code."""
    buffer = io.BytesIO()
    torch.save(Code(mark), buffer)
    held = buffer.getvalue()
    return b"ctorch.storage\n_load_from_bytes\n(B" + len(held).to_bytes(4, "little") + held + b"tR."


def test_code_in_references_is_never_run(tmp_path: Path) -> None:
    mark, prompts = tmp_path / "mark", Prompts(None)
    contents = {
        "code": pickle.dumps({"1": Code(mark)}),
        "storage": nested(mark),
        "list": pickle.dumps([1]),
        "numbers": pickle.dumps({"1": [0.5, 0.5]}),
        "cut": pickle.dumps({"1": probabilities(1)[0]})[:-20],
        "text": b"nonsense",
    }
    for name, content in contents.items():
        path = tmp_path / f"{name}.pkl"
        path.write_bytes(content)
        with pytest.raises(
            ValueError, match=rf"{name}\.pkl: (refused or damaged|no dict of tensors)"
        ) as error:
            reference_logits(str(path), prompts)
        assert "\n" not in str(error.value)
    assert not mark.exists()
    (tmp_path / "prompts.txt").write_text("a dog\n")
    (tmp_path / "odd.pkl").write_bytes(pickle.dumps({"1": torch.ones(3)}))
    with pytest.raises(ValueError, match=r"odd\.pkl: must hold a vector of probabilities"):
        reference_logits(str(tmp_path / "odd.pkl"), Prompts(str(tmp_path / "prompts.txt")))
    with pytest.raises(ValueError, match=r"odd\.pkl: there are no prompts .*set model\.prompts\.file"):
        reference_logits(str(tmp_path / "odd.pkl"), Prompts(None))


# --- what is not here


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("audio/fd_openl3", "OpenL3 needs TensorFlow.*or name another network"),
        ("audio/kl_passt", "PaSST is not installed: pip install hear21passt"),
        ("audio/clap", "weights of CLAP are not here: hf download laion/clap-htsat-fused"),
    ],
)
def test_what_is_not_here_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metric: str, message: str
) -> None:
    for module in (openl3, passt):
        monkeypatch.setattr(module, "find_spec", lambda name: None)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    cfg = settings(composed("model=stable_audio_open", f"metrics=[{metric}]"))
    node = cfg.metrics[metric.split("/")[1]]["encoder"]
    with pytest.raises(UsageError, match=message) as error:
        build(node, "metrics")
    assert "\n" not in str(error.value)
    monkeypatch.setattr(clap, "find_spec", lambda name: None)
    if metric == "audio/clap":
        with pytest.raises(UsageError, match="needs the package transformers"):
            build(node, "metrics")


def test_references_that_are_not_named() -> None:
    with pytest.raises(ValueError, match=r"set model\.evaluation\.openl3 .*load/openl3_fd.*content .*env"):
        openl3.reference_statistics(None)
    with pytest.raises(ValueError, match=r"set model\.evaluation\.passt .*load/passt_kld"):
        reference_logits(None, Prompts(None))


# --- the published scores as an experiment makes them

RATE = 64  # of the tiny pipeline's clips
NETS = (
    "~metrics.fd_openl3.encoder.network",
    "+metrics.fd_openl3.encoder.network={_target_: tests.support.audio_nets.Pooled, width: 6}",
    "~metrics.kl_passt.encoder.network",
    "+metrics.kl_passt.encoder.network={_target_: tests.support.audio_nets.Pooled, width: 7}",
    "metrics.mel_l1.metric={rate: 64, fft: 64, hop: 16, bands: 8}",
    "~metrics.mrstft",  # its windows are longer than these clips
)


def paper_scorer(folder: Path, *overrides: str) -> Scorer:
    published(folder)
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(50, 12))
    np.savez(folder / "fd.npz", mu_ref=rows.mean(0), sigma_ref=np.cov(rows, rowvar=False))
    (folder / "held.csv").write_text("id,caption\nx,snow\ny,hail\n")  # of which there are no tags
    (folder / "tags.pkl").write_bytes(pickle.dumps(dict(enumerate(probabilities(4), 1))))
    save_tiny_clap(folder / "clap")
    evaluation = {
        "rate": RATE,
        "openl3": folder / "fd.npz",
        "passt": folder / "tags.pkl",
        "clap": folder / "clap",
    }
    cfg = settings(
        composed(
            "model=stable_audio_open",
            "metrics=audio_paper",
            f"model.path={folder}",
            f"model.prompts.file={folder}/prompts.txt",
            f"model.prompts.calibration.file={folder}/held.csv",
            "model.prompts.calibration.layout=csv",
            "model.seconds_end=2.5",
            *(f"++model.evaluation.{key}={value}" for key, value in evaluation.items()),
            *NETS,
            *overrides,
        )
    )
    return Scorer(cfg.metrics, build_model(cfg.model, torch.device("cpu")), FeatureCache(folder))


@needs_transformers
def test_the_published_scores_with_tiny_networks(tmp_path: Path) -> None:
    scorer = paper_scorer(tmp_path)
    clips = {name: stereo(160, 12) for name in ("one", "two")}
    clips["one"] = (clips["one"] + 500).to(torch.int16)
    sets = []
    for name, audio in clips.items():
        samples = Samples(tmp_path, name, range(12), 5, scorer.model.media)
        for batch in samples.batches():
            samples.write(batch, audio[batch[0] : batch[-1] + 1])
        sets.append(samples)
    scorer.extract(sets[0], sets[1], list(scorer.metrics))
    scores, reasons = scorer.scores([("one", "two", range(12))])
    assert not reasons and set(scores) == {
        f"{n}@12" for n in ("fd_openl3", "kl_passt", "clap", "mel_l1", "si_sdr")
    }
    rows = WindowEncoder(Pooled(6), RATE)(clips["one"])["windows"].flatten(0, 1).numpy()
    with np.load(tmp_path / "fd.npz") as reference:
        drawn = np.random.default_rng(0).normal(size=(50, 12))
        np.testing.assert_allclose(reference["mu_ref"], drawn.mean(0))
    assert scores["fd_openl3@12"].value == pytest.approx(frechet(rows, drawn), rel=1e-6)
    towers = load_clap(str(tmp_path / "clap"), RATE)
    cosines = (towers(clips["one"])["embedding"] * towers.of_captions(TEXTS)[torch.arange(12) % 4]).sum(1)
    assert scores["clap@12"].value == pytest.approx(cosines.mean().item(), abs=1e-5)


def test_clips_of_another_rate_are_refused_before_the_first_sample(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"metrics\.\w+: is set to clips of 16000 Hz, .* makes clips of 64 Hz"
    ):
        paper_scorer(tmp_path, "model.evaluation.rate=16000")


@needs_transformers
def test_clips_that_are_too_few_channels_or_frames_are_refused_before_the_first_sample(
    tmp_path: Path,
) -> None:
    with pytest.raises(UsageError, match=r"fd_openl3: takes clips of 1 channels, stable_audio_open makes 2"):
        paper_scorer(tmp_path, "metrics.fd_openl3.encoder.channels=1")
    with pytest.raises(UsageError, match=r"fd_openl3: needs clips of at least 64 frames, .* have 32: leave"):
        paper_scorer(tmp_path, "model.seconds_end=0.5")
    with pytest.raises(UsageError, match=r"kl_passt: needs clips of at least 97 frames, .* have 96: leave"):
        paper_scorer(tmp_path, "model.seconds_end=1.5")
