"""Metrics of other libraries in whole runs: from YAML to the report, resumed, refused."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build_model
from smoothbench.errors import UsageError
from smoothbench.report.data.frame import load
from smoothbench.report.tables.two_points import compare
from smoothbench.report.write import write
from smoothbench.running.experiment import Experiment
from smoothbench.scoring.scorer import Scorer
from smoothbench.storage.feature_cache import FeatureCache
from tests.support.clip_nets import save_tiny_clip
from tests.support.compose import composed, experiment
from tests.support.runs import read
from tests.support.saved_pipelines import FAMILIES, built

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


@pytest.fixture(scope="module")
def nano() -> Any:
    return build_model(settings(composed("device=cpu")).model, torch.device("cpu"))


def refusal(model: Any, folder: Path, *overrides: str) -> str:
    """The line that refuses the metrics of a configuration, when they are built."""
    with pytest.raises(UsageError) as error:
        Scorer(settings(composed(*overrides)).metrics, model, FeatureCache(folder))
    assert "\n" not in str(error.value)
    return str(error.value)


def mine(inner: str, inputs: str = "[samples]") -> tuple[str, str]:
    return "metrics=[psnr]", f"+metrics.mine={{metric:{{_target_:{ADAPTER},inputs:{inputs},metric:{inner}}}}}"


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        ("{_target_:torchmetrics.image.NoSuchMetric}", "torchmetrics.image.NoSuchMetric cannot be imported"),
        ("{_target_:torch.nn.Identity}", "metric=Identity() is no metric of torchmetrics"),
        ("uqi", "metric='uqi' is no metric of torchmetrics"),
        ("{_target_:torchmetrics.image.TotalVariation,reduction:3}", "Expected argument `reduction`"),
    ],
)
def test_a_class_that_is_none_is_refused(inner: str, message: str, nano: Any, tmp_path: Path) -> None:
    assert refusal(nano, tmp_path, *mine(inner)).startswith(f"metrics.mine: {message}")


def test_a_model_without_prompts_is_refused(nano: Any, tmp_path: Path) -> None:
    line = refusal(nano, tmp_path, *mine("{_target_:torchmetrics.image.TotalVariation}", "[samples,prompts]"))
    assert line.startswith(
        "metrics.mine: dit_nano: it compares samples with their prompts, and this model has none"
    )


def test_what_is_refused_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"metrics\.mine: "):
        experiment(tmp_path, *mine("{_target_:torchmetrics.image.NoSuchMetric}"))
    assert not list(tmp_path.rglob("*.json"))


def test_fewer_samples_than_a_metric_needs_are_refused_before_the_first(tmp_path: Path) -> None:
    asked = ("metrics=[psnr,fd_inf_nano]", "only=[fora]")
    with pytest.raises(
        UsageError, match=r"^num_samples=2: metrics.fd_inf_nano needs at least 3; take more, or"
    ):
        experiment(tmp_path, *asked, "num_samples=2")
    assert len(experiment(tmp_path, *asked, "num_samples=3").bench.points) == 2


def test_weights_that_are_not_here_are_refused(
    nano: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    for name in ("lpips", "dists", "arniqa", "musiq", "image_reward"):
        line = refusal(nano, tmp_path, f"metrics=[{name}]")
        assert line.startswith(f"metrics.{name}: ") and re.search("pip install|curl|hf download", line)


def test_prompts_of_a_pipeline_reach_clip_score_and_what_ranks_by_it(tmp_path: Path) -> None:
    built(FAMILIES["PixArt"]).save_pretrained(tmp_path / "tiny")
    cfg = composed(
        "model=pipeline",
        f"model.repo={tmp_path / 'tiny'}",
        "model.prompts=[a cat,two dogs,for calibration]",
        "model.dtype=float32",
        "solver.steps=4",
        "cache=fora",
        "num_samples=8",
        "latency.rounds=0",
        "device=cpu",
        f"results_dir={tmp_path}",
        "metrics=[clip_score,rank_clip]",
        f"metrics.clip_score.metric.metric.source={save_tiny_clip(tmp_path / 'clip')}",
        "metrics.rank_clip.metric.n=2",
        "metrics.best_clip.metric.n=2",
    )
    plan = settings(cfg)
    plan.model["arguments"] = dict(FAMILIES["PixArt"].arguments)
    Experiment(plan).run()
    records = [json.loads(path.read_text()) for path in tmp_path.glob("runs/adhoc/records/*.json")]
    cached, reference = sorted(records, key=lambda record: bool(record["reference"]))
    assert reference["scores"].keys() == {"clip_score@8"}
    assert cached["scores"].keys() == {"clip_score@8", "rank_clip@8", "best_clip@8"}
    assert cached["scores"]["clip_score@8"]["delta"]["se"] > 0
