"""A run of one's own, handed in: its scores are computed again from its observations, and nothing of it changes."""

import json
from pathlib import Path

import numpy as np
import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from smoothbench.leaderboard.__main__ import main
from smoothbench.sampling.devices import device_of
from smoothbench.storage.provenance import provenance
from tests.support.compose import experiment

METRICS = "metrics=[psnr,agreement_nano]"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("results")
    for seed in (0, 1):
        experiment(results, METRICS, "only=[fora]", "num_samples=4", f"seed={seed}").run()
    return results / "runs/smoke"


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_scores_are_computed_again_from_observations(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(folder)
    assert main([str(folder), "--out", str(tmp_path / "site")]) == 0
    assert "2 points (2 scores from observations)" in capsys.readouterr().out
    assert files(folder) == before
    assert "scores from observations" in (tmp_path / "site/submissions.html").read_text(encoding="utf-8")


def test_observations_that_do_not_give_the_scores_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Numbers that agree with each other, but not with what the metrics saw."""
    record = next(
        path for path in (folder / "records").glob("fora-*") if json.loads(path.read_text())["parts"]
    )
    sample = json.loads(record.read_text())["sample_id"]
    path = next(
        path for path in (folder / "observations" / sample).glob("*.npz") if np.load(path)["rows"].ndim == 1
    )
    content, arrays = path.read_bytes(), dict(np.load(path))
    try:
        np.savez_compressed(path, **(arrays | {"rows": arrays["rows"] + 1.0}))
        assert main([str(folder)]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert any(
            f"{record}: scores.psnr@8.value is " in line and "its observations give" in line for line in lines
        )
        path.write_bytes(content[:100])  # damaged: the others are still checked, and it is left as it is
        assert main([str(folder)]) == 0
        assert path.read_bytes() == content[:100]
        assert "1 standard errors and intervals recomputed from per-sample scores" in capsys.readouterr().out
    finally:
        path.write_bytes(content)


def test_a_record_says_by_which_command_it_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = ["+exp=smoke", "metrics=[psnr,ssim]", "results_dir=/home/me", "hydra.verbose=true"]
    config = OmegaConf.create({"hydra": {"overrides": {"task": overrides}}})
    monkeypatch.setattr(HydraConfig, "initialized", lambda: True)
    monkeypatch.setattr(HydraConfig, "get", lambda: config.hydra)
    made = provenance(device_of("cpu"))
    assert made["command"] == "python -m smoothbench +exp=smoke 'metrics=[psnr,ssim]'"
    monkeypatch.setattr(HydraConfig, "initialized", lambda: False)
    assert "command" not in provenance(device_of("cpu"))
