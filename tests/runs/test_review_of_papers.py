"""What a review of the papers' experiments and of trained routers found, each as a test."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from smoothbench.cli import job
from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build_model
from smoothbench.running.experiment import Experiment
from smoothbench.storage.sample_files import Samples
from tests.support.compose import composed, experiment

TRAIN = ("stage=train", "cache=l2c", "solver.steps=4", "cache.training.steps=2", "training.batch_size=2")


def latents(path: Path, seed: int, **changes: object) -> Path:
    rng = np.random.default_rng(seed)
    arrays = {"latents": rng.normal(size=(4, 1, 28, 28)).astype(np.float32), "labels": np.arange(4)}
    np.savez(path, **{**arrays, **changes})  # type: ignore[arg-type]
    return path


def trained(folder: Path, out: str, data: Path) -> int:
    return job(composed(*TRAIN, f"results_dir={folder}", f"out={folder / out}", f"training.latents={data}"))


def test_other_latents_in_the_same_place_give_another_router(tmp_path: Path) -> None:
    for out, seed in (("a.safetensors", 1), ("b.safetensors", 2), ("c.safetensors", 1)):
        assert trained(tmp_path, out, latents(tmp_path / "data.npz", seed)) == 0
    a, b, c = ((tmp_path / f"{name}.safetensors").read_bytes() for name in "abc")
    assert a != b and a == c


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": np.array([0, 1, 2, 99])},
        {"labels": np.array([-1, 1, 2, 3])},
        {"labels": np.array([0.5, 1, 2, 3])},
        {"labels": np.array(list("abcd"))},
        {"latents": np.zeros((4, 1, 28, 28), complex)},
        {"latents": np.zeros((0, 1, 28, 28)), "labels": np.zeros(0, int)},
    ],
)
def test_latents_and_labels_of_other_kinds_are_one_line(
    changes: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trained(tmp_path, "r.safetensors", latents(tmp_path / "data.npz", 0, **changes)) == 2
    assert capsys.readouterr().err.count("training.latents=") == 1


def test_a_damaged_checkpoint_is_said_once_and_then_gone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = latents(tmp_path / "data.npz", 1)
    assert trained(tmp_path, "a.safetensors", data) == 0
    (checkpoint,) = tmp_path.rglob("training/*.pt")
    checkpoint.write_bytes(checkpoint.read_bytes()[:300])
    assert trained(tmp_path, "b.safetensors", data) != 0
    assert "was damaged and is removed" in capsys.readouterr().err
    assert trained(tmp_path, "b.safetensors", data) == 0
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


@pytest.mark.parametrize("said", ["calibrated", 5, "published mask"])
def test_a_schedule_s_word_of_what_it_rests_on(said: object, tmp_path: Path) -> None:
    plan = {"_meta": {"planned": said}, "attn": [1, 0, 1, 0], "mlp": [1, 0, 1, 0]}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    asked = ["cache=schedule", f"cache.policy.path={tmp_path / 'plan.json'}", "solver.steps=4", "stage=cost"]
    assert job(composed(*asked, f"results_dir={tmp_path}", "latency.rounds=0")) == 0
    records = [json.loads(path.read_text()) for path in tmp_path.rglob("records/*.json")]
    assert {record["planned"] for record in records} == {None, "published mask"} - (
        set() if said == "published mask" else {"published mask"}
    )
    assert len(records) == 2


def test_another_convention_of_a_paper_is_counted_anew(tmp_path: Path) -> None:
    counts = []
    for rows in (64, 32):
        asked = ["+exp=paper/uvit_dpm", "stage=cost", f"results_dir={tmp_path}", f"paper.rows={rows}"]
        running = Experiment(settings(composed(*asked)))
        running.run()
        counts.append({r.name: r.cost.paper.tmacs for r in running.store.records()})
    assert counts[0].keys() == counts[1].keys()
    assert all(counts[0][name] == pytest.approx(2 * counts[1][name]) for name in counts[0])


def test_calls_of_half_an_evaluation_are_read_again(tmp_path: Path) -> None:
    media = build_model(settings(composed()).model, torch.device("cpu")).media
    samples = Samples(tmp_path, "one", range(2), 2, media, ["blocks.0.ff"])
    images = torch.zeros(2, 1, 28, 28, dtype=torch.uint8)
    samples.write(range(2), images, calls={"blocks.0.ff": 3.5})
    again = Samples(tmp_path, "one", range(2), 2, media, ["blocks.0.ff"])
    assert again.calls() == {"blocks.0.ff": 3.5} and again.counted()


def test_a_dit_refuses_timesteps_that_it_was_not_trained_on(tmp_path: Path) -> None:
    model = experiment(tmp_path).model
    x, y = torch.zeros(1, *model.sample_shape), torch.tensor([1])
    for t in (907.25, 1000.0, -1.0):
        with pytest.raises(ValueError, match=f"whole timesteps 0 to 999, the solver asks for {t:g}"):
            model.output(x, t, y)
