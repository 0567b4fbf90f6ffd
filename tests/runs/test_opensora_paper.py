"""SmoothCache's Table 2: its costs without weights, and the whole experiment on tiny parts, up to mp4 files."""

import csv
import json
from pathlib import Path

import pytest
from huggingface_hub import constants

from smoothbench.cli import job
from smoothbench.config.expand import settings
from smoothbench.errors import UsageError
from smoothbench.interop.vbench.__main__ import main as vbench
from smoothbench.report import summary
from smoothbench.running.experiment import Experiment
from tests.support.compose import composed
from tests.support.mp4 import read
from tests.support.opensora import SHIFT, TEXTS, published, sources

TINY = (
    "num_samples=2", "batch_size=2", "solver.steps=4", "device=cpu", "keep_samples=true", "calibration.num_samples=2",
    "model.resolution=144p", f"model.shift={SHIFT!r}", "model.tokens=12", "model.dtype=float32", "metrics=[video/psnr]",
    "only=[alpha03]",
)  # fmt: skip


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    folder = tmp_path_factory.mktemp("cost")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_CACHE", str(folder))
        plan = settings(composed("+exp=paper/opensora_rflow", "stage=cost", f"results_dir={folder}"))
        experiment = Experiment(plan)
        experiment.run()
    return experiment


def test_the_printed_total_taken_apart(table: Experiment) -> None:
    records = {record.name: record for record in table.store.records()}
    paper = records["reference"].cost.paper
    parts = {name: part.tmacs for name, part in paper.parts.items()}
    assert parts == pytest.approx(
        {"denoiser": 1489.67, "text_encoder": 1.389, "spatial_vae": 98.201, "temporal_vae": 22.837}, abs=5e-3
    )
    assert paper.tmacs == pytest.approx(sum(parts.values())) == pytest.approx(1612.1, abs=0.07)
    for part in paper.parts.values():
        assert part.tmacs <= part.tmacs_with_attention
    assert records["reference"].reported.values["vbench"].value == pytest.approx(0.7936)
    half = records["fora-orientation=repository-interval=2"].cost.paper
    assert half.tmacs - half.parts["denoiser"].tmacs == pytest.approx(122.43, abs=0.01)
    lacking = {name for name, record in records.items() if record.status.cost == "skipped"}
    assert lacking == {"alpha02", "alpha03"} and len(records) == 9
    assert all("planned on error curves" in records[name].reason for name in lacking)
    assert records["alpha02"].config["cache"]["k_max"] == 5


def test_cost_csv_and_the_report_say_so(table: Experiment) -> None:
    with (table.store.folder / "cost.csv").open() as file:
        first = next(csv.DictReader(file))
    assert (first["paper_scope"], first["paper_rows"], first["tmacs_reported"]) == ("pipeline", "2", "1612.1")
    assert int(first["macs_linear"]) / 1e12 == pytest.approx(float(first["tmacs_denoiser"]), abs=1e-5)
    assert int(first["macs"]) / 1e12 == pytest.approx(float(first["tmacs_with_attention_denoiser"]), abs=1e-5)
    assert float(first["tmacs_with_attention_denoiser"]) == pytest.approx(1650.2, abs=0.1)
    assert float(first["tmacs_text_encoder"]) == pytest.approx(1.389, abs=1e-3)
    text = " ".join(summary(table.store.folder).split())
    assert "text encoder 1.389" in text and "spatial vae 98.201" in text and "1,489.669" in text
    assert "The prompt's 67 tokens (model.tokens) are fitted to the printed total" in text


def test_a_model_that_does_not_count_its_pipeline(tmp_path: Path) -> None:
    small = ("+exp=smoke", "stage=cost", f"results_dir={tmp_path}", "device=cpu", "only=[fora]")
    paper = "paper={scope: pipeline, rows: 2, remainder_per_evaluation: 0}"
    with pytest.raises(UsageError, match=r"paper\.scope=pipeline: dit_nano does not count"):
        Experiment(settings(composed(*small, paper))).run()


def test_the_whole_experiment_to_mp4(tmp_path: Path) -> None:
    """As the command runs it: calibrated, sampled, scored, reported; then exported as VBench reads it."""
    folder, results = published(tmp_path / "tiny"), tmp_path / "results"
    model = [f"model.{key}={value}" for key, value in sources(folder).items()]
    prompts = f"model.prompts.file={folder / 'prompts.txt'}"
    assert job(composed("+exp=paper/opensora_rflow", f"results_dir={results}", prompts, *model, *TINY)) == 0
    run = results / "runs/paper/opensora_rflow"
    records = [json.loads(path.read_text()) for path in (run / "records").glob("*.json")]
    assert {record["name"] for record in records} == {"reference", "alpha03"}
    for record in records:
        assert record["status"] == {"quality": "done", "cost": "done"}, record["reason"]
        assert (
            record["model"]["fps"] == 24 and len(list(run.glob(f"samples/{record['sample_id']}/*.webp"))) == 2
        )
    smoothcache = next(record for record in records if record["name"] == "alpha03")
    assert smoothcache["planned"] == "calibrated" and smoothcache["calibration"]["k_max"] == 5
    assert set(smoothcache["schedule"]["kinds"]) == {
        f"{dimension}_{kind}"
        for dimension in ("spatial", "temporal")
        for kind in ("self_attn", "cross_attn", "ff")
    }
    assert vbench(["export", str(run), "reference", str(tmp_path / "clips")]) == 0
    frames, fps = read(tmp_path / "clips/videos/000000000.mp4")
    assert frames.shape == (51, 3, 18, 32) and fps == 24 and frames.float().std() > 5
    assert set(json.loads((tmp_path / "clips/prompts.json").read_text()).values()) == set(TEXTS[:2])


def test_one_clip_is_decoded_whatever_the_rows_of_the_paper(tmp_path: Path) -> None:
    paths = [f"model.{key}={value}" for key, value in sources(published(tmp_path / "tiny")).items()]
    small = (
        "model.resolution=144p",
        f"model.shift={SHIFT!r}",
        "model.tokens=12",
        "only=[fora]",
        "stage=cost",
    )
    costs = {}
    for rows in (2, 4):
        overrides = (f"paper.rows={rows}", f"results_dir={tmp_path / str(rows)}", *small, *paths)
        experiment = Experiment(settings(composed("+exp=paper/opensora_rflow", *overrides)))
        experiment.run()
        reference = next(record for record in experiment.store.records() if record.reference)
        costs[rows] = reference.cost.paper
    two, four = costs[2].parts, costs[4].parts
    assert four["denoiser"].tmacs == pytest.approx(2 * two["denoiser"].tmacs)
    for name in ("text_encoder", "spatial_vae", "temporal_vae"):
        assert four[name] == two[name]
    assert costs[4].tmacs == pytest.approx(sum(part.tmacs for part in four.values()))
