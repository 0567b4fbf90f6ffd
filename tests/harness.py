"""Compose configurations in tests as the command line would."""

from pathlib import Path

from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from smoothbench.experiment import Experiment
from smoothbench.plan import settings


def composed(*overrides: str) -> DictConfig:
    GlobalHydra.instance().clear()
    with initialize_config_module("conf", version_base="1.3"):
        return compose("config", list(overrides))


def experiment(folder: Path, *overrides: str) -> Experiment:
    small = ("num_samples=6", "batch_size=4", "latency.rounds=0", "device=cpu", f"results_dir={folder}")
    return Experiment(settings(composed("+exp=smoke", *small, *overrides)))
