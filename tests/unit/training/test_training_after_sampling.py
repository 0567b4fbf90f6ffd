"""A model that has sampled can teach: nothing that it keeps was made for inference alone."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from baselines.router_training import distillation
from smoothbench.caching import find_sites
from smoothbench.cli import job
from tests.support.compose import composed
from tests.support.every_model import NAMES, Build, every_model, published

FLOAT32 = [name for name in NAMES if "bfloat16" not in name]


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Build]:
    return every_model(published(tmp_path_factory.mktemp("weights")))


@pytest.mark.parametrize("name", FLOAT32)
def test_a_router_learns_from_a_model_that_has_sampled(name: str, builds: dict[str, Build]) -> None:
    model, _ = builds[name](torch.device("cpu"))
    x, labels_or_prompts = torch.randn(2, *model.sample_shape), model.labels_or_prompts([0, 1])
    with torch.inference_mode():  # the first to ask for the denoiser, the text encoder and all that is kept
        model.predict(x, 700.0, model.conditioning(labels_or_prompts), lambda forward_index: None)
    sites = find_sites(model.denoiser)
    logits = torch.zeros(len(sites), requires_grad=True)
    forwards = [lambda t=t: model.output(x, t, labels_or_prompts) for t in (700.0, 600.0)]
    distillation(model.denoiser, sites, forwards, [torch.sigmoid(logits)]).backward()
    assert logits.grad is not None and logits.grad.isfinite().all() and logits.grad.any()


@pytest.mark.parametrize(
    ("model", "solver"), [("stable_audio_nano", "dpmpp_3m_sde"), ("opensora_nano", "rflow")]
)
@pytest.mark.slow
def test_training_a_router_by_the_command(
    model: str, solver: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    small = ["training.trajectories=2", "training.batch_size=2", "solver.steps=4", "cache.training.steps=1"]
    overrides = ["stage=train", "cache=l2c", f"model={model}", f"solver={solver}", "out=own.safetensors"]
    assert job(composed(*overrides, *small)) == 0
    logits = load_file("own.safetensors")["logits"]
    assert logits.isnan().all(1).tolist() == [True, False] * 2 and logits[1::2].isfinite().all()
