"""ADM's evaluation: its definitions on a random-weight Inception, its files, and what is refused."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metrics.features import Features
from metrics.inception_score import InceptionScore
from metrics.score import Score
from smoothbench.errors import UsageError
from smoothbench.evaluators import inception
from smoothbench.evaluators.inception import load_inception
from smoothbench.media.codecs import Png
from smoothbench.storage.sample_files import Samples
from tests.oracles.inception import (
    covered,
    encoded,
    frechet,
    images,
    inception_score,
    reference,
    save_random_weights,
    scorer,
)

COUNT = 200
SIDE = 75  # to which the network resizes, the least it can take: at its own 299 this takes 16 times as long
needs_paper = pytest.mark.skipif(inception.find_torch_fidelity() is None, reason=f"needs {inception.INSTALL}")


@dataclass
class Bench:
    """Two sets of random images, what Inception makes of them, and the five scores of one against the other."""

    real: dict[str, Features]
    fake: dict[str, Features]
    scores: dict[str, Score]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of Inception in their published layout, not to be written to."""
    file = tmp_path_factory.mktemp("adm") / "random.pth"
    save_random_weights(file)
    return file


@pytest.fixture(scope="module")
def bench(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("bench")
    network = load_inception(str(weights))
    network.extractor.INPUT_IMAGE_SIZE = SIDE
    pictures, others = images(COUNT, 1, 1.2), images(COUNT, 2)
    real = encoded(network, pictures)
    found = scorer(folder, reference(folder / "reference.npz", pictures, real), weights)
    for bound_metric in found.metrics.values():
        bound_metric.encoder.extractor.INPUT_IMAGE_SIZE = SIDE
    samples = Samples(folder, "fake", range(COUNT), 50, Png())
    for batch in samples.batches():
        samples.write(batch, others[batch[0] : batch[-1] + 1])
    found.extract(samples, None, list(found.metrics))
    scores, reasons = found.scores([("fake", None, range(COUNT))])
    assert not reasons
    return Bench(real, encoded(network, others), {k.partition("@")[0]: v for k, v in scores.items()})


@needs_paper
@pytest.mark.slow
def test_the_five_scores_are_their_definitions(bench: Bench) -> None:
    x, y = bench.fake, bench.real
    wanted = {
        "fid": frechet(x["features"], y["features"]),
        "sfid": frechet(x["spatial"], y["spatial"]),
        "is": inception_score(x["logits"], 5000),
        "precision": covered(x["features"], y["features"]),
        "recall": covered(y["features"], x["features"]),
    }
    assert 0.05 < wanted["recall"] < wanted["precision"] <= 1 and wanted["is"] > 1.05, "no empty comparison"
    assert {name: score.value for name, score in bench.scores.items()} == pytest.approx(wanted, rel=1e-6)
    for score in bench.scores.values():
        assert score.influence.shape == (COUNT,) and abs(score.influence.mean()) < 1e-6 * (
            1 + score.influence.std()
        )
    assert bench.scores["fid"].flag == "N=200 is small against d=2048"


@needs_paper
@pytest.mark.slow
def test_the_network_at_its_own_size(weights: Path) -> None:
    network, pictures = load_inception(str(weights)), images(3, 4)
    with torch.inference_mode():
        out = network(pictures)
        widths = {name: tuple(rows.shape[1:]) for name, rows in out.items()}
        assert widths == {"features": (2048,), "spatial": (192, 17, 17), "logits": (1008,)}
        assert (out["spatial"] >= 0).all(), "after the ReLU"
        assert torch.allclose(
            out["logits"], out["features"] @ network.extractor.fc.weight.T, rtol=1e-5, atol=1e-5
        )
        grey = pictures[:, :1]
        assert torch.equal(network(grey)["features"], network(grey.expand(-1, 3, -1, -1))["features"])
    assert encoded(network, pictures)["spatial"].shape == (3, 2023)
    assert not network.extractor.Mixed_6d.branch1x1._forward_hooks and not network.training
    with pytest.raises(ValueError, match=r"Inception takes uint8 \[N, C, H, W\] with 1 or 3 channels"):
        network(pictures.float())


def test_is_is_the_mean_over_splits() -> None:
    logits = 2 * np.random.default_rng(0).normal(size=(200, 12))
    result = InceptionScore(split=64).score(logits)
    assert result.value == pytest.approx(inception_score(logits, 64), rel=1e-12)
    assert result.flag == "the last of 4 splits has 8 of 64 samples"
    assert InceptionScore(split=50).score(logits).flag is None
    assert InceptionScore(split=5000).score(logits).value == InceptionScore().score(logits).value
    assert InceptionScore(split=5000).score(logits).flag == "the last of 1 splits has 200 of 5000 samples"
    with pytest.raises(ValueError, match="split=1 samples: at least 2"):
        InceptionScore(split=1)


def test_the_influence_on_splits_is_the_jackknife() -> None:
    logits, parts = 2 * np.random.default_rng(1).normal(size=(720, 6)), [(0, 300), (300, 600), (600, 720)]
    result = InceptionScore(split=300).score(logits)

    def without(i: int) -> float:
        """The mean of the splits' scores, with one sample less in its own."""
        rest = [np.delete(logits[a:b], i - a, axis=0) if a <= i < b else logits[a:b] for a, b in parts]
        return float(np.mean([InceptionScore().score(part).value for part in rest]))

    jackknife = 719 * (result.value - np.array([without(i) for i in range(720)]))
    # they differ by the second order, 1 / n of a split
    np.testing.assert_allclose(result.influence, jackknife, rtol=0.05, atol=0.05 * jackknife.std())
    assert abs(result.influence.mean()) < 1e-12


@needs_paper
@pytest.mark.slow
def test_weights_are_tensors_or_refused_in_one_line(weights: Path, tmp_path: Path) -> None:
    class Code:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "mark",)

    content_bytes = weights.read_bytes()
    state = torch.load(weights, weights_only=True)
    contents: dict[str, Any] = {
        "code": Code(),
        "list": [1],
        "nested": {"model": state},
        "less": dict([*state.items()][1:]),
    }
    for name, content in contents.items():
        torch.save(content, tmp_path / name)
    (tmp_path / "cut").write_bytes(content_bytes[: len(content_bytes) // 2])
    (tmp_path / inception.FILE).write_bytes(content_bytes)
    for name in (*contents, "cut"):
        with pytest.raises(
            ValueError, match=f"{name}: not the tensors of torch-fidelity's Inception"
        ) as error:
            load_inception(str(tmp_path / name))
        assert inception.URL in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "mark").exists()
    with pytest.raises(ValueError, match="damaged or half downloaded"):
        load_inception(str(tmp_path / inception.FILE))
    with pytest.raises(ValueError, match=r"none\.pth: No such file.*put https.*model\.evaluation\.inception"):
        load_inception(str(tmp_path / "none.pth"))


@needs_paper
def test_the_default_weights_are_torch_hubs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(UsageError, match=rf"hub/checkpoints/{inception.FILE}: No such file.*put https"):
        scorer(tmp_path, "null", "null", "is")


def test_a_missing_extra_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inception, "SEPARATE", "nowhere")
    monkeypatch.setattr("sys.path", [])
    with pytest.raises(UsageError, match=r"torch-fidelity is not installed: pip install .*-e '\.\[paper\]'"):
        scorer(tmp_path, "null", "null", "is")


@needs_paper
def test_nothing_is_left_of_the_half_imported_package() -> None:
    before = set(sys.modules)
    assert inception._extractor_class().INPUT_IMAGE_SIZE == 299
    assert not [name for name in set(sys.modules) - before if name.startswith(inception.PACKAGE)]
