"""What a review found in what the video part gives: clips, costs, VBench's files, metrics."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from metrics.vbench_proxy import Motion, TemporalFlicker
from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build_model
from smoothbench.errors import UsageError
from smoothbench.interop.vbench.__main__ import main
from smoothbench.interop.vbench.prompt_list import read_listing
from smoothbench.interop.vbench.totals import imported_results, read_results
from smoothbench.models.base.prompts import Prompts
from smoothbench.models.opensora.vae import pixels
from smoothbench.running.experiment import Experiment
from smoothbench.sampling.point_batches import decoded
from tests.support.clips import clips
from tests.support.compose import composed
from tests.support.latent_dits import CPU, refusal
from tests.support.opensora import SHIFT, opensora, published, sources


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model's parts, not to be written to."""
    return published(tmp_path_factory.mktemp("published"))


# --- samples that are not finite


def test_frames_that_are_not_finite_are_not_black(whole: Path) -> None:
    nano: Any = build_model(settings(composed("model=opensora_nano", "metrics=[video/psnr]")).model, CPU)
    for bad in (math.nan, math.inf):
        with pytest.raises(FloatingPointError, match="the decoded frames are not finite"):
            pixels(torch.full((1, 3, 2, 4, 4), bad))
    for model in (nano, opensora(whole)):
        x = torch.zeros(3, *model.sample_shape)
        x[1, 0, 0, 0, 0] = math.nan
        with pytest.raises(FloatingPointError, match=r"not finite: 1 of 3 samples \(seeds \[8\]\)"):
            decoded(model, x, [7, 8, 9])


# --- costs


def test_one_clip_is_decoded_whatever_the_rows_of_the_paper(whole: Path, tmp_path: Path) -> None:
    told = [f"model.{key}={value}" for key, value in sources(whole).items()]
    small = (
        "model.resolution=144p",
        f"model.shift={SHIFT!r}",
        "model.tokens=12",
        "only=[fora]",
        "stage=cost",
    )
    found = {}
    for rows in (2, 4):
        asked = (f"paper.rows={rows}", f"results_dir={tmp_path / str(rows)}", *small, *told)
        experiment = Experiment(settings(composed("+exp=paper/opensora_rflow", *asked)))
        experiment.run()
        reference = next(record for record in experiment.store.records() if record.reference)
        found[rows] = reference.cost.paper
    two, four = found[2].parts, found[4].parts
    assert four["denoiser"].tmacs == pytest.approx(2 * two["denoiser"].tmacs)
    for part in ("text_encoder", "spatial_vae", "temporal_vae"):
        assert four[part] == two[part]
    assert found[4].tmacs == pytest.approx(sum(each.tmacs for each in four.values()))


# --- VBench


def test_empty_prompts_of_vbench(tmp_path: Path) -> None:
    path = tmp_path / "VBench_full_info.json"
    path.write_text(json.dumps([{"prompt_en": each, "dimension": ["color"]} for each in ("a", " ")]))
    with pytest.raises(UsageError, match="one of its prompts is empty"):
        read_listing(path)
    refusal(lambda: Prompts(str(path), "vbench"), path, "entry 2 has an empty prompt_en")


def test_results_that_are_there_twice_or_out_of_range(tmp_path: Path) -> None:
    path = tmp_path / "x_eval_results.json"

    def read(text: str) -> Any:
        path.write_text(text)
        return read_results([path])

    refusal(lambda: read('{"color": [0.5, [{}]], "color": [0.6, [{}]]}'), path, "it has color twice")
    refusal(lambda: read('{"color": [-0.1, [{}]]}'), path, "its color is -0.1, not a share of 1")
    refusal(
        lambda: read('{"temporal_style": [-1.1, [{}]]}'), path, "its temporal_style is -1.1, not a cosine"
    )
    assert read('{"temporal_style": [-0.1, [{}]]}')["temporal_style"].value == -0.1
    assert read('{"subject_consistency": [1.0000001, [{}]]}')["subject_consistency"].value > 1
    dimensions = {"color": {"value": -0.1, "videos": 1}}
    refusal(lambda: imported_results({"schema": 1, "dimensions": dimensions}), "not a share of 1")


def test_help_names_the_filter(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    assert "25" in said and "static_filter" in said


# --- what is written of metrics


def test_the_interval_of_motion() -> None:
    here = Path(__file__).parents[2] / "conf/metrics/video"
    given = clips(1)[:, :8]
    for fps, apart in ((8, 1), (12, 2), (15, 2), (24, 3)):
        wanted = Motion(8)(given[:, ::apart])["motion"]
        torch.testing.assert_close(Motion(fps)(given)["motion"], wanted)
    for text in (
        str(Motion.__doc__),
        *((here / f"vbproxy_{name}.yaml").read_text() for name in ("magnitude", "dynamic")),
    ):
        assert "n / fps seconds" in " ".join(text.split())
    assert "VBench's formula, in float64" in str(TemporalFlicker.__doc__)
