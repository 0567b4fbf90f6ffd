"""Metrics of other libraries in whole runs: from YAML to the report, resumed, refused."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from smoothbench.errors import UsageError
from smoothbench.report.data.frame import load
from smoothbench.report.tables.two_points import compare
from smoothbench.report.write import write
from smoothbench.running.experiment import Experiment
from smoothbench.storage.feature_cache import FeatureCache
from tests.support.compose import experiment
from tests.support.runs import read

ADAPTER = "metrics.torchmetric.TorchMetric"
CORPUS = "metrics.torchmetric_corpus.TorchMetricOverCorpus"
UQI = (
    f"+metrics.uqi={{metric:{{_target_:{ADAPTER},"
    "metric:{_target_:torchmetrics.image.UniversalImageQualityIndex}}}"
)
ERROR = "{_target_:torchmetrics.classification.MulticlassCalibrationError,num_classes:10}"
CALIBRATION = (
    "+metrics.calibration={encoder:'${model.evaluation.encoder}',"
    f"metric:{{_target_:{CORPUS},inputs:[logits,condition],metric:{ERROR}}}}}"
)
MORE = ("metrics=[psnr,psnr_pooled,rank_preserved,best_preserved]", "only=[none,fora]", UQI, CALIBRATION)
REFERENCE, CACHED = "reference", "fora-interval=2"
ORDERED = ("num_samples=24", "metrics.rank_preserved.metric.n=2", "metrics.best_preserved.metric.n=2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    results = tmp_path_factory.mktemp("foreign")
    small(results).run()
    yield results


def small(results: Path, *overrides: str) -> Experiment:
    return experiment(results, *MORE, *ORDERED, *overrides)


def scores(folder: Path, point: str) -> dict[str, Any]:
    return dict(read(folder)[point]["scores"])


def test_every_kind_of_score_is_in_the_records(folder: Path) -> None:
    cached, reference = scores(folder, CACHED), scores(folder, REFERENCE)
    assert cached.keys() == {f"{name}@24" for name in (
        "psnr", "psnr_pooled", "rank_preserved", "best_preserved", "uqi", "calibration"
    )}  # fmt: skip
    assert reference.keys() == {"calibration@24"}
    assert cached["uqi@24"]["quantiles"] and cached["uqi@24"]["metric"] == {
        "name": "torchmetric",
        "version": 1,
    }
    assert cached["psnr_pooled@24"]["value"] <= cached["psnr@24"]["value"]
    assert -1 <= cached["rank_preserved@24"]["value"] <= 1 and cached["rank_preserved@24"]["se"] > 0


def test_a_score_without_an_interval_is_marked(folder: Path) -> None:
    bare = scores(folder, CACHED)["calibration@24"]
    assert (bare["se"], bare["low"], bare["high"], bare["delta"]) == (None, None, None, None)
    assert bare["flag"].startswith("no interval") and bare["n"] == 24
    run = folder / "runs/smoke"
    write(run)
    text = (run / "report.md").read_text()
    assert "calibration@24\u2020: no interval: torchmetrics merges samples otherwise than by sums" in text
    assert load(run)["calibration@24.se"].isna().all()
    assert "calibration" not in compare(run, REFERENCE, CACHED)


def test_the_versions_of_torchmetrics_are_provenance(folder: Path) -> None:
    record = json.loads(next((folder / "runs/smoke/records").glob("*.json")).read_text())
    assert record["provenance"]["versions"]["torchmetrics"]


def test_the_same_command_again_does_nothing_and_lost_features_are_made_again(folder: Path) -> None:
    run, before = folder / "runs/smoke", read(folder)
    times = {path: path.stat().st_mtime_ns for path in run.rglob("*.npz")}
    small(folder).run()
    assert times == {path: path.stat().st_mtime_ns for path in run.rglob("*.npz")} and read(folder) == before
    features = FeatureCache(run / "observations")
    sample_id = before[CACHED]["sample_id"]
    for path in (features.folder / sample_id).glob("*.npz"):
        path.unlink()
    small(folder, "batch_size=5").run()
    after = scores(folder, CACHED)
    for name, score in scores(folder, CACHED).items():
        np.testing.assert_allclose(after[name]["value"], score["value"], rtol=1e-6)


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (
            "{_target_:torchmetrics.image.NoSuchMetric}",
            "metrics.mine: torchmetrics.image.NoSuchMetric cannot be",
        ),
        ("{_target_:torch.nn.Identity}", "metrics.mine: metric=Identity() is no metric of torchmetrics"),
        ("uqi", "metrics.mine.*"),
        ("{_target_:torchmetrics.image.TotalVariation,depth:3}", "metrics.mine: "),
    ],
)
def test_a_class_that_is_none_is_refused_before_anything_starts(
    metric: str, message: str, tmp_path: Path
) -> None:
    node = f"+metrics.mine={{metric:{{_target_:{ADAPTER},metric:{metric}}}}}"
    with pytest.raises(UsageError, match=message.replace("(", r"\(").replace(")", r"\)")) as error:
        experiment(tmp_path, "metrics=[psnr]", node)
    assert "\n" not in str(error.value) and not list(tmp_path.rglob("*.json"))


def test_a_model_without_prompts_is_refused_before_anything_starts(tmp_path: Path) -> None:
    inner = "{_target_:torchmetrics.image.TotalVariation}"
    node = f"+metrics.mine={{metric:{{_target_:{ADAPTER},inputs:[samples,prompts],metric:{inner}}}}}"
    with pytest.raises(
        UsageError, match=r"metrics\.mine: dit_nano: it compares samples with their prompts, and this"
    ):
        experiment(tmp_path, "metrics=[psnr]", node)


def test_weights_that_are_not_here_are_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    for name in ("lpips", "dists", "arniqa", "musiq", "image_reward"):
        with pytest.raises(UsageError, match=f"metrics.{name}: .*(pip install|curl|hf download)"):
            experiment(tmp_path, f"metrics=[{name}]")
