"""stage=tune on pipelines of several kinds, and on the embedded models: their files keep what they promise."""

import json
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline

from smoothbench.config.expand import settings
from smoothbench.config.spec import Settings
from smoothbench.errors import PointsFailed
from smoothbench.running.experiment import Experiment
from smoothbench.running.tune import tune
from tests.support.compose import composed
from tests.support.saved_pipelines import FAMILIES, PROMPTS, saved
from tests.support.tiny_pipelines import save_tiny_dit

STEPS = 6
SMALL = (
    "num_samples=2",
    "calibration.num_samples=2",
    "batch_size=2",
    "device=cpu",
    "latency.rounds=0",
    f"solver.steps={STEPS}",
)
NANO = {  # dit_nano is tuned in a notebook
    "stable_audio_nano": "metrics=[audio/si_sdr]",
    "opensora_nano": "metrics=[video/psnr]",
}


def followed(out: Path, plan: Settings) -> Any:
    """The record and the samples of a run that follows a schedule's file, of the plan's only method."""
    running = Experiment(plan)
    running.run()
    point = running.bench.points[-1]
    samples = torch.cat([x for _, x in running.bench.samples(point).read()])
    return running.store.record(point.spec.name, point.point_id), samples


@pytest.mark.parametrize("model", NANO)
def test_the_file_of_an_embedded_model_gives_the_promised_macs(model: str, tmp_path: Path) -> None:
    common = (f"model={model}", NANO[model], f"results_dir={tmp_path / 'results'}", *SMALL)
    out = tmp_path / "tuned.json"
    tune(settings(composed("stage=tune", "cache=fitted", "at=0.5", f"out={out}", *common)))
    promised = json.loads(out.read_text())["_meta"]["tuned"]
    record, _ = followed(out, settings(composed("cache=schedule", f"cache.policy.path={out}", *common)))
    assert record.cost.share == promised["share"] <= 0.5
    ((name, loss),) = promised["loss"].items()
    assert record.scores[f"{name}@2"].value == loss["value"]


class Called:
    """A pipeline that is called as a printed snippet says, with prompts and seeds in the place of `...`."""

    def __init__(self, pipe: Any) -> None:
        vars(self)["pipe"] = pipe

    def __getattr__(self, name: str) -> Any:
        return getattr(self.pipe, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.pipe, name, value)

    def __call__(self, prompts: Any, **arguments: Any) -> Any:
        assert prompts is ...
        seeds = [torch.Generator().manual_seed(seed) for seed in range(2)]
        return self.pipe(prompt=list(PROMPTS[:2]), generator=seeds, output_type="np", **arguments)


@pytest.mark.parametrize(
    ("family", "metric", "forwards", "asked"),
    [
        ("Wan", "video/psnr", 2, ("cache=fitted", "at=0.5")),
        ("Lumina2", "psnr", 2, ("cache=fitted", "at=0.5")),
        ("Wan2.2", "video/psnr", 2, ("cache=fora", "cache.predictor=taylor1", "at=0.75", "solver.steps=9")),
        (
            "StableDiffusion",
            "psnr",
            1,
            ("cache=fora", 'loss="psnr>=5"', "solver.scheduler=HeunDiscreteScheduler"),
        ),
    ],
    ids=[
        "guidance in two calls",
        "a timestep that rises",
        "two networks",
        "a bound on a U-Net, another scheduler",
    ],
)
def test_the_printed_snippet_gives_the_same_samples(
    family: str, metric: str, forwards: int, asked: tuple[str, ...], tmp_path: Path
) -> None:
    folder, out, text = tmp_path / family, tmp_path / "tuned.json", StringIO()
    arguments = saved(FAMILIES[family], folder)

    def plan(*more: str) -> Settings:
        cfg = composed(
            "model=pipeline",
            "model.dtype=float32",
            f"model.prompts={json.dumps(list(PROMPTS))}",
            f"results_dir={tmp_path / 'results'}",
            f"metrics=[{metric}]",
            *SMALL,
            *more,
        )
        cfg.model.repo, cfg.model.arguments = str(folder), arguments
        return settings(cfg)

    with redirect_stdout(text):
        tune(plan("stage=tune", f"out={out}", *asked))
    solver = [setting for setting in asked if setting.startswith("solver.")]
    _, samples = followed(out, plan("cache=schedule", f"cache.policy.path={out}", *solver))
    snippet = text.getvalue().partition("\n\n")[2]
    names: dict[str, Any] = {"pipe": Called(DiffusionPipeline.from_pretrained(folder))}
    exec(snippet, names)
    run, schedule = names["run"], names["schedule"]
    assert (
        run.calls == {site: forwards * n for site, n in schedule.calls().items()} and run.skipped_share > 0.3
    )
    plain = (torch.as_tensor(names["output"][0]) * 255).round().int().movedim(-1, -3)
    apart = (samples.int() - plain).abs()
    assert apart.max() <= 1 and (apart > 0).float().mean() < 0.01  # they round to grey levels in other ways
    assert "forward" not in vars(getattr(names["pipe"].pipe, "transformer_2", None) or names["denoiser"])


def test_a_bound_that_other_samples_miss_leaves_no_file(tmp_path: Path) -> None:
    """Two calibration samples that happen to be equally good keep it; two others do not."""
    save_tiny_dit(tmp_path / "dit")
    out = tmp_path / "tuned.json"
    plan = settings(
        composed(
            "stage=tune",
            "model=dit_xl_2_256",
            f"model.path={tmp_path / 'dit'}",
            "model.revision=null",
            "model.numerics=diffusers",
            "model.guidance=4",
            "+solver.numerics=diffusers",
            "metrics=[psnr]",
            "cache=fora",
            'loss="psnr>=34.7"',
            f"out={out}",
            f"results_dir={tmp_path / 'results'}",
            *SMALL,
            "solver.steps=12",
            "calibration.seed=5",
            "calibration.draw=1",
            "num_samples=18",
            "seeds=16-17",
        )
    )
    with pytest.raises(
        PointsFailed, match=r"loss=psnr>=34.7: kept on calibration, but 34.\d+ on 2 other samples: "
    ):
        tune(plan)
    assert not out.exists()
