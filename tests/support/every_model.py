"""One small model of every class that is sampled, each with its solver, on any device."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import torch

from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build_model, build_solver
from smoothbench.models.uvit.architecture import UViT
from smoothbench.models.uvit.latent import LatentUViT
from smoothbench.protocols import Model, Solver
from smoothbench.solvers.ddim import DDIM
from smoothbench.solvers.dpm_singlestep import DPMSolverSinglestep
from smoothbench.solvers.dpmpp_3m_sde import DPMSolverPlusPlus3MSDE
from tests.support import opensora, stable_audio
from tests.support.compose import composed
from tests.support.latent_dits import latent_dit
from tests.support.tiny_pipelines import save_tiny_dit, tiny_dit_pipeline

EVALUATIONS: Final = 4
UVIT: Final = {"img_size": 8, "embed_dim": 32, "depth": 4, "num_heads": 2, "num_classes": 11}

Build = Callable[[torch.device], tuple[Model, Solver]]


def published(folder: Path) -> Path:
    """Save the weights of all tiny models in published layouts, each in a folder of its own."""
    save_tiny_dit(folder / "dit")
    stable_audio.published(folder / "stable_audio")
    (folder / "opensora").mkdir()
    opensora.published(folder / "opensora")
    (folder / "uvit").mkdir()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        torch.save(UViT(**UVIT).state_dict(), folder / "uvit/uvit.pth")
    tiny_dit_pipeline().vae.save_pretrained(folder / "uvit/vae")
    return folder


def nano(name: str) -> Build:
    """An embedded model, by its name in `conf/model`."""

    def build(device: torch.device) -> tuple[Model, Solver]:
        plan = settings(composed(f"model={name}", f"solver.steps={EVALUATIONS}", "device=cpu"))
        return build_model(plan.model, device), build_solver(plan.specs[0].solver)

    return build


def every_model(folder: Path) -> dict[str, Build]:
    """How every model is built, by a name of it, from what `published` saved."""

    def uvit(device: torch.device) -> tuple[Model, Solver]:
        files = {"path": str(folder / "uvit/uvit.pth"), "vae": str(folder / "uvit/vae")}
        return LatentUViT("tiny", architecture=UVIT, device=device, **files), DPMSolverSinglestep(EVALUATIONS)

    def dit(dtype: str) -> Build:
        return lambda device: (
            latent_dit(folder / "dit", dtype=dtype, guidance=4.0, device=device),
            DDIM(EVALUATIONS),
        )

    return {
        "dit_nano": nano("dit_nano"),
        "stable_audio_nano": nano("stable_audio_nano"),
        "opensora_nano": nano("opensora_nano"),
        "dit": dit("float32"),
        "dit in bfloat16": dit("bfloat16"),
        "uvit": uvit,
        "stable_audio": lambda device: (
            stable_audio.stable_audio(folder / "stable_audio", device=device),
            DPMSolverPlusPlus3MSDE(EVALUATIONS, sigma_max=20.0),
        ),
        "opensora": lambda device: (
            opensora.opensora(folder / "opensora", device=device),
            opensora.SOLVER,
        ),
    }


NAMES: Final = tuple(every_model(Path()))
