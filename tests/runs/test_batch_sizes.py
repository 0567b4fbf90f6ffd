"""A whole run gives the same bytes at any batch size."""

from pathlib import Path

from smoothbench.config.expand import settings
from smoothbench.running.experiment import Experiment
from tests.support.compose import composed


def test_the_same_waveform_at_any_batch_size(tmp_path: Path) -> None:
    """All of the way, phases included: they make much of the last bits of the latents."""
    clips = []
    for size in (1, 2, 5):
        few = (
            "num_samples=5",
            "solver.steps=10",
            f"batch_size={size}",
            "latency.rounds=0",
            "metrics=[audio/mel_l1]",
        )
        cfg = composed("model=stable_audio_nano", *few, f"results_dir={tmp_path / str(size)}")
        Experiment(settings(cfg)).run()
        files = sorted((tmp_path / str(size)).rglob("samples/*/*.flac"))
        assert len(files) == 5
        clips.append([file.read_bytes() for file in files])
    assert clips[0] == clips[1] == clips[2]
