"""A tiny StableAudioOpen for tests, from random weights in the published layout."""

from pathlib import Path
from typing import Any

from diffusers import StableAudioPipeline

from smoothbench.models.base.prompts import Prompts
from smoothbench.models.stable_audio.published import StableAudioOpen
from smoothbench.solvers.dpmpp_3m_sde import DPMSolverPlusPlus3MSDE
from tests.support.latent_dits import CPU
from tests.support.tiny_pipelines import save_tiny_stable_audio

TEXTS = ["rain on a roof", "a dog", "two small dogs and a very long prompt that is cut", "wind"]
SOLVER = DPMSolverPlusPlus3MSDE(8, sigma_max=20.0)


def published(folder: Path) -> StableAudioPipeline:
    """Save a tiny pipeline and a list of prompts in a folder, and return the pipeline."""
    made = save_tiny_stable_audio(folder)
    (folder / "prompts.txt").write_text("\n".join(TEXTS))
    return made


def stable_audio(folder: Path | str, **more: Any) -> StableAudioOpen:
    """A model of that folder, with its prompts unless others are given."""
    arguments: dict[str, Any] = {"architecture": {}, "seconds_end": 2.5, "device": CPU, **more}
    prompts = arguments.pop("prompts", None) or Prompts(str(Path(folder) / "prompts.txt"))
    return StableAudioOpen("tiny", str(folder), prompts=prompts, **arguments)
