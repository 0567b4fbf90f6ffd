"""Tiny pipelines of many families run through `model=pipeline` as the published ones would, to a report."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from smoothbench.config.expand import settings
from smoothbench.report.write import write
from smoothbench.running.experiment import Experiment
from smoothbench.sampling.loop import decodable, silent
from tests.support.compose import composed
from tests.support.saved_pipelines import FAMILIES, PROMPTS, built

POINTS = ("+cache@points.fora.cache=fora", "+cache@points.smoothcache.cache=smoothcache")
# by family, where half of the MACs cannot be left out: what is no branch (ResNets), or must be computed (two networks)
BUDGETS = {"StableDiffusion": 0.8, "SDXL": 0.8, "HunyuanDiT": 0.8, "Wan2.2": 0.7}
STEPS = 8
METRICS = {"video": "metrics=[video/psnr]", "audio": "metrics=[audio/si_sdr]", "image": "metrics=[psnr,ssim]"}
VIDEO, AUDIO = ("Wan", "Wan2.2", "LTX", "CogVideoX", "HunyuanVideo", "Latte", "Mochi"), ("StableAudio",)
QUICK = ("FLUX", "Wan", "StableAudio")  # the others are marked slow


def experiment(name: str, folder: Path, *more: str) -> Experiment:
    """The experiment of a family: its tiny pipeline, saved, with FORA and SmoothCache at half of the MACs."""
    built(FAMILIES[name]).save_pretrained(folder / name)
    kind = "video" if name in VIDEO else "audio" if name in AUDIO else "image"
    overrides = (
        "model=pipeline",
        f"model.repo={folder / name}",
        f"model.prompts={json.dumps(list(PROMPTS))}",
        f"results_dir={folder / 'results'}",
        f"solver.steps={STEPS}",
        "calibration.num_samples=2",
        "calibration.k_max=7",
        "num_samples=4",
        "batch_size=3",
        "latency.rounds=0",
        "device=cpu",
        METRICS[kind],
    )
    at = BUDGETS.get(name, 0.5)
    cfg = composed(*overrides, *POINTS, f"+points.fora.at={at}", f"+points.smoothcache.at={at}", *more)
    plan = settings(cfg)
    plan.model["arguments"] = dict(FAMILIES[name].arguments)
    return Experiment(plan)


def records(folder: Path) -> dict[str, Any]:
    found = [json.loads(path.read_text()) for path in folder.glob("results/runs/adhoc/records/*.json")]
    return {record["name"]: record for record in found}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in FAMILIES]
)
def test_a_family_runs_to_a_report(name: str, tmp_path: Path) -> None:
    running = experiment(name, tmp_path, "model.dtype=float32")
    running.run()
    if name in QUICK:
        write(tmp_path / "results/runs/adhoc")
        assert (tmp_path / "results/runs/adhoc/report.md").is_file()
    known = records(tmp_path)
    assert len(known) == 3
    for record in known.values():
        assert record["status"] == {"quality": "done", "cost": "done"}, record["reason"]
        assert record["scores"] or record["reference"]
    for point in ("fora", "smoothcache"):
        assert not known[point]["degenerate"]
        assert 0.2 < known[point]["budget"]["realised"] <= BUDGETS.get(name, 0.5)
    bench = running.bench
    files = bench.samples(bench.reference)
    again = bench.model.decode(decodable(bench.model, bench.reference.solver, list(range(3)), silent))
    assert torch.equal(again, next(files.read())[1])
