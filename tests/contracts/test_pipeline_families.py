"""Tiny pipelines of many families run through `model=pipeline` as the published ones would, to a report."""

import json
import re
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from smoothbench.config.expand import settings
from smoothbench.errors import PointsFailed
from smoothbench.report.write import write
from smoothbench.running.experiment import Experiment
from smoothbench.sampling.loop import decodable, silent
from tests.support.compose import composed
from tests.support.saved_pipelines import FAMILIES, PROMPTS, built, saved
from tests.support.saved_pipelines.conditions import hook_every_module, save_adapter
from tests.support.saved_pipelines.moving import MOVING

CACHES = ("fora", "smoothcache", "fitted")
# by family, where half of the MACs cannot be left out: what is no branch (ResNets), or must be computed (two networks)
BUDGETS = {"StableDiffusion": 0.8, "SDXL": 0.8, "HunyuanDiT": 0.8, "Wan2.2": 0.7}
REFUSED = {  # methods that a family is refused for, and why
    ("Wan2.2", "fitted"): ("skipped", "Wan2.2 has two networks, from evaluation 6 on the second one"),
    ("Z-Image", "fitted"): ("failed", "the denoiser makes outputs .* of inputs .*: no solver adds these up"),
}
STEPS = 8
METRICS = {"video": "metrics=[video/psnr]", "audio": "metrics=[audio/si_sdr]", "image": "metrics=[psnr,ssim]"}
AUDIO = ("StableAudio",)
SIXTEEN_BIT_ROUNDING = 33  # levels of 65,536: a pixel's 256 are too coarse to show what rounds otherwise
QUICK = ("FLUX", "Wan", "StableAudio")  # the others are marked slow


def experiment(
    name: str, folder: Path, *more: str, caches: Sequence[str] = CACHES, at: float = 0.5
) -> Experiment:
    """The experiment of a family: its tiny pipeline, saved, with each of the methods at a share of the MACs."""
    kind = "audio" if name in AUDIO else "video" if name in MOVING else "image"
    cfg = composed(
        "model=pipeline",
        f"model.prompts={json.dumps(list(PROMPTS))}",
        f"results_dir={folder / 'results'}",
        *(() if any(each.startswith("solver.steps=") for each in more) else (f"solver.steps={STEPS}",)),
        "calibration.num_samples=2",
        "calibration.k_max=7",
        "num_samples=4",
        "batch_size=3",
        "latency.rounds=0",
        "device=cpu",
        METRICS[kind],
        *(f"+cache@points.{cache}.cache={cache}" for cache in caches),
        *(f"+points.{cache}.at={BUDGETS.get(name, at)}" for cache in caches),
        *more,
    )
    cfg.model.repo = str(folder / name)
    cfg.model.arguments = saved(FAMILIES[name], folder / name)
    return Experiment(settings(cfg))


def records(folder: Path) -> dict[str, Any]:
    found = [json.loads(path.read_text()) for path in folder.glob("results/runs/adhoc/records/*.json")]
    return {record["name"]: record for record in found}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in FAMILIES]
)
def test_a_family_runs_to_a_report(name: str, tmp_path: Path) -> None:
    refused = {cache: REFUSED[name, cache] for cache in CACHES if (name, cache) in REFUSED}
    failing = any(quality == "failed" for quality, _ in refused.values())
    running = experiment(name, tmp_path, "model.dtype=float32")
    before = bare(running) if name in AUDIO else None
    with pytest.raises(PointsFailed) if failing else nullcontext():
        running.run()
    if name in QUICK:
        write(tmp_path / "results/runs/adhoc")
        assert (tmp_path / "results/runs/adhoc/report.md").is_file()
    known = records(tmp_path)
    assert len(known) == 1 + len(CACHES)
    for point, (quality, reason) in refused.items():
        assert known[point]["status"]["quality"] == quality and re.match(reason, known.pop(point)["reason"])
    for point, record in known.items():
        assert record["status"] == {"quality": "done", "cost": "done"}, record["reason"]
        assert record["scores"] or record["reference"]
        if point in CACHES:
            assert not record["degenerate"]
            assert 0.2 < record["budget"]["realised"] <= BUDGETS.get(name, 0.5)
    uncached_bits_are_back(running, 0 if before is None else SIXTEEN_BIT_ROUNDING)
    assert before is None or torch.equal(bare(running), before)


def uncached_bits_are_back(running: Experiment, levels: int = 0) -> None:
    """Check that the model, after all points, draws the samples that the uncached point has drawn before them.

    They may be `levels` apart where the uncached point ran by a fast forward, which is equal within rounding.
    """
    bench = running.bench
    files = bench.samples(bench.reference)
    again = bare(running)
    assert (again.int() - next(files.read())[1].int()).abs().max() <= levels


def bare(running: Experiment) -> Tensor:
    """The first samples as the pipeline itself draws them."""
    model = running.bench.model
    return model.decode(decodable(model, running.bench.reference.solver, list(range(3)), silent))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*ompile")
@pytest.mark.parametrize("condition", ["offloaded in bfloat16", "adapted, modules moved", "compiled"])
def test_the_same_holds_under(condition: str, tmp_path: Path) -> None:
    more = {
        "offloaded in bfloat16": ("model.offload=model", "model.dtype=bfloat16"),
        "adapted, modules moved": (f"model.lora={save_adapter(built(FAMILIES['FLUX']), tmp_path)}",),
        "compiled": ("model.compile=true",),
    }[condition]
    with torch.compiler.set_stance("force_eager"):
        running = experiment("FLUX", tmp_path, *("model.dtype=float32", *more)[-2:])
        if condition == "adapted, modules moved":
            hook_every_module(running.bench.model.denoiser)
        running.run()
        uncached_bits_are_back(running)
    known = records(tmp_path)
    for cache in CACHES:
        assert known[cache]["status"] == {"quality": "done", "cost": "done"}, known[cache]["reason"]
        assert not known[cache]["degenerate"] and 0.2 < known[cache]["budget"]["realised"] <= 0.5


@pytest.mark.slow
def test_methods_that_plan_on_the_batch_run_on_pipelines_or_say_why_not(tmp_path: Path) -> None:
    """Wan guides in two calls; here each sample has a call of its own, too."""
    caches = ("budcache", "lemica", "seacache")
    more = ("model.dtype=float32", "model.one_by_one=true", "points.budcache.cache.policy.search=40")
    running = experiment("Wan", tmp_path, *more, "solver.steps=5", caches=caches, at=0.7)
    running.run()
    known = records(tmp_path)
    assert "SeaCache needs the noise of each evaluation" in known.pop("seacache")["reason"]
    for cache, record in known.items():
        assert record["status"] == {"quality": "done", "cost": "done"}, (cache, record["reason"])
        assert cache == "reference" or 0.2 < record["budget"]["realised"] <= 0.7
    uncached_bits_are_back(running)
