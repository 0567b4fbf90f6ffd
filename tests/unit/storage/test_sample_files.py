"""The files of a point's samples: what their manifest holds is read again."""

from pathlib import Path

import torch

from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build_model
from smoothbench.storage.sample_files import Samples
from tests.support.compose import composed
from tests.support.latent_dits import CPU


def test_calls_of_half_an_evaluation_are_read_again(tmp_path: Path) -> None:
    media = build_model(settings(composed()).model, CPU).media
    samples = Samples(tmp_path, "one", range(2), 2, media, ["blocks.0.ff"])
    images = torch.zeros(2, 1, 28, 28, dtype=torch.uint8)
    samples.write(range(2), images, calls={"blocks.0.ff": 3.5})
    again = Samples(tmp_path, "one", range(2), 2, media, ["blocks.0.ff"])
    assert again.calls() == {"blocks.0.ff": 3.5} and again.counted()
