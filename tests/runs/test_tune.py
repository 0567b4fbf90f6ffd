"""stage=tune: the file keeps what it promises, here and in a plain pipeline, and bad requests leave none."""

import json
import re
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from smoothbench.config.expand import settings
from smoothbench.config.loss_target import quoted
from smoothbench.errors import UsageError
from smoothbench.running.experiment import Experiment
from smoothbench.running.tune import tune
from tests.support.command_line import refusal_of
from tests.support.compose import composed
from tests.support.tiny_pipelines import save_tiny_dit

STEPS = 12
SMALL = ("num_samples=4", "calibration.num_samples=3", "batch_size=4", "device=cpu", "latency.rounds=1")
PLAIN = """
import json, sys
import torch
from diffusers import DiTPipeline
from smoothbench.caching import Schedule, cached, saved_sites

folder, files, out = sys.argv[1:]
pipe = DiTPipeline.from_pretrained(folder)
pipe.set_progress_bar_config(disable=True)
images = []
for path, labels in json.loads(files):
    schedule = Schedule.load(path, saved_sites(path, pipe.transformer))
    with cached(pipe.transformer, schedule) as run:
        output = pipe(
            class_labels=labels,
            guidance_scale=4.0,
            generator=[torch.Generator().manual_seed(seed) for seed in range(len(labels))],
            num_inference_steps=schedule.evals,
            output_type="np",
        )
    assert run.calls == schedule.calls()
    images.append(torch.as_tensor(output.images))
ours = [name for name in sys.modules if name.startswith("smoothbench.")]
assert all(name.startswith("smoothbench.caching") for name in ours), ours
torch.save(torch.stack(images), out)
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """A tiny random DiT in the published layout, and few samples of it."""
    folder = tmp_path_factory.mktemp("tiny")
    save_tiny_dit(folder)
    return (
        "model=dit_xl_2_256",
        f"model.path={folder}",
        "model.revision=null",
        "model.numerics=diffusers",
        "model.guidance=4",
        "+solver.numerics=diffusers",
        f"solver.steps={STEPS}",
        "metrics=[psnr]",
        f"results_dir={folder}/results",
        *SMALL,
    )


@pytest.fixture(scope="module")
def tuned(tiny: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The file of a tuned schedule with fitted weights, and what was printed of it."""
    out, text = tmp_path_factory.mktemp("tuned") / "tuned.json", StringIO()
    with redirect_stdout(text):
        tune(settings(composed("stage=tune", "cache=fitted", "at=0.5", f"out={out}", *tiny)))
    return out, text.getvalue()


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def followed(out: Path, *overrides: str) -> tuple[Any, Tensor, list[int]]:
    """Run a file of a schedule in the benchmark: its record, its samples and their classes."""
    running = Experiment(settings(composed("cache=schedule", f"cache.policy.path={out}", *overrides)))
    running.run()
    point = running.bench.points[-1]
    samples = torch.cat([images for _, images in running.bench.samples(point).read()])
    record = running.store.record(point.spec.name, point.point_id)
    return record, samples, running.bench.model.labels_or_prompts(range(4)).tolist()


def as_pipeline(tiny: tuple[str, ...]) -> tuple[str, ...]:
    """The same folder as a pipeline that samples itself."""
    folder = next(each for each in tiny if each.startswith("model.path=")).removeprefix("model.path=")
    return (
        "model=pipeline",
        f"model.repo={folder}",
        "model.dtype=float32",
        "model.arguments={guidance_scale:4.0}",
        *tiny[-3 - len(SMALL) :],
    )


def test_a_file_gives_the_same_samples_here_and_in_a_plain_pipeline(
    tiny: tuple[str, ...], tuned: tuple[Path, str], tmp_path: Path
) -> None:
    """One by the harness's own loop, with fitted weights; one by the pipeline as a model, with first-order ones."""
    out, text = tuned
    data = read(out)
    measured = data["_meta"]["tuned"]
    assert measured["share"] <= measured["at"] == 0.5 and measured["loss"]["psnr"]["n"] == 4
    assert data["_weights"]["form"] == "input_weights" and measured["calibration"]["num_samples"] == 3
    for line in (
        "Fitted",
        f"{measured['share']:.1%} of the uncached",
        "measured",
        "worst 5 %",
        "Schedule.load(",
    ):
        assert line in text
    record, samples, labels = followed(out, *tiny)
    assert record.cost.share == measured["share"]
    assert record.scores["psnr@4"].value == measured["loss"]["psnr"]["value"] < 60
    folder = next(each for each in tiny if each.startswith("model.path=")).removeprefix("model.path=")
    pipeline = as_pipeline(tiny)
    other = tmp_path / "pipeline.json"
    tune(
        settings(
            composed(
                "stage=tune", "cache=fora", "cache.predictor=taylor1", "at=0.5", f"out={other}", *pipeline
            )
        )
    )
    _, of_pipeline, its_labels = followed(other, *pipeline)
    files = json.dumps([[str(out), labels], [str(other), its_labels]])
    arguments = [folder, files, str(tmp_path / "images.pt")]
    done = subprocess.run(
        [sys.executable, "-c", PLAIN, *arguments], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    theirs = (
        (torch.load(tmp_path / "images.pt", weights_only=True) * 255).round().int().permute(0, 1, 4, 2, 3)
    )
    for ours, plain in zip((samples, of_pipeline), theirs, strict=True):
        apart = (ours.int() - plain).abs()
        # they round to grey levels in other ways
        assert apart.max() <= 1 and (apart > 0).float().mean() < 0.01


def test_without_a_method_the_published_leaders_are_tried(
    tiny: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tune(settings(composed("stage=tune", "at=medium", f"out={tmp_path}/a.json", *tiny)))
    assert "best by psnr on calibration samples, of tune.* and the leaders " in capsys.readouterr().out
    assert read(tmp_path / "a.json")["_meta"]["tuned"]["at"] == 0.4


def test_a_bound_on_the_loss_is_kept_by_few_macs(
    tiny: tuple[str, ...], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The second bound is one that the first schedule's mean keeps on calibration, but not its interval."""
    shares, bound = list[float](), 25.0
    for name in ("first", "second"):
        out = tmp_path / f"{name}.json"
        with caplog.at_level("INFO"):
            tune(settings(composed("stage=tune", "cache=fora", f'loss="psnr>={bound}"', f"out={out}", *tiny)))
        measured = read(out)["_meta"]["tuned"]
        assert measured["loss"]["psnr"]["value"] >= bound
        shares.append(measured["share"])
        means = re.findall(rf"at {round(100 * measured['at'])} %: psnr (\S+) \[", caplog.text)
        bound = float(means[-1]) - 0.01
    assert shares[0] < shares[1] < 1


def test_a_metric_without_quantiles_decides_as_any_other(tiny: tuple[str, ...], tmp_path: Path) -> None:
    out, small = tmp_path / "a.json", [each for each in tiny if not each.startswith("metrics=")]
    command = ["stage=tune", "cache=fora", "metrics=[psnr_pooled]", 'loss="psnr_pooled>=25"', f"out={out}"]
    tune(settings(composed(*command, *small)))
    loss = read(out)["_meta"]["tuned"]["loss"]["psnr_pooled"]
    assert loss["low"] < loss["value"] and loss["value"] >= 25 and loss["quantiles"] is None


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["cache=fora", "calibration.num_samples=1", 'loss="psnr>=20"', "out=a.json"],
            "psnr of the calibration's samples: a score needs the influence of at least 2 samples",
        ),
        (["out=a.json"], "stage=tune takes one of at=0.4 .* and 'loss=psnr>=35'"),
        (["at=0.4", 'loss="psnr>=35"', "out=a.json"], "stage=tune takes one of at=0.4"),
        (["at=0.4"], "out=FILE goes with stage=calibrate .*, stage=tune"),
        (["at=fast", "out=a.json"], "at=fast: must be a share .* or one of light, medium, heavy"),
        (["loss=psnr", "out=a.json"], "loss=psnr: must be a metric and its bound, as in 'loss=psnr>=35'"),
        (['loss="psnr>=nan"', "out=a.json"], "loss=psnr>=nan: must be a metric and its bound"),
        (["at=0.4", "out=a.txt"], "stage=tune needs out=FILE.json, not .*a.txt"),
        (["at=0.4", "out=folder.json"], "out=.*folder.json: is a folder"),
        (
            ['loss="sharpness>=3"', "out=a.json"],
            "no metric sharpness compares with the uncached .* there are psnr",
        ),
        (['loss="psnr<=30"', "out=a.json"], "bounds psnr on its worse side; 'loss=psnr>=30' bounds the loss"),
        (
            ['loss="psnr>=70"', "cache=fora", "out=a.json"],
            "loss=psnr>=70: not reached at 99 % of the MACs by FORA",
        ),
        (["at=0.01", "cache=fora", "out=a.json"], "no interval costs at most 0.0100 of the MACs"),
        (["at=0.5", "cache=teacache", "out=a.json"], "decides at run time: it has no schedule to save"),
    ],
)
def test_a_request_that_cannot_be_met_is_one_line_and_leaves_no_file(
    tiny: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    overrides: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(UsageError, match=message) as caught:
        tune(settings(composed("stage=tune", *tiny, *overrides)))
    assert "\n" not in str(caught.value)
    results = next(each for each in tiny if each.startswith("results_dir=")).removeprefix("results_dir=")
    assert not list(Path(results).rglob("settings/*"))  # no budget was searched for what decides at run time
    assert [path.name for path in tmp_path.iterdir()] == ["folder.json"]


def test_a_schedule_for_other_settings_is_refused(tiny: tuple[str, ...], tuned: tuple[Path, str]) -> None:
    out, _ = tuned
    for change, message in {
        "model.guidance=3": "was made for model guidance 4.0, but the run has 3.0",
        "+solver.beta_end=0.03": "was made for solver beta_end 0.02, but the run has 0.03",
        "solver.steps=10": "has 12 evaluations, but the solver makes 10",
    }.items():
        running = Experiment(settings(composed("cache=schedule", f"cache.policy.path={out}", *tiny, change)))
        assert message in str(running.bench.points[1].planning_error)


def test_a_bound_needs_no_quotes_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert quoted("loss=psnr>=35") == 'loss="psnr>=35"'
    assert quoted('loss="psnr>=35"') == 'loss="psnr>=35"' and quoted("at=0.4") == "at=0.4"
    said = refusal_of(["stage=tune", "loss=psnr>=35", "out=a.txt"], tmp_path, monkeypatch, capfd)
    assert said.startswith("error: stage=tune needs out=FILE.json, not ")
