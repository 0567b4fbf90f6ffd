"""Compose configurations in tests as the command line would."""

from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, open_dict

from smoothbench.config.expand import settings
from smoothbench.config.overrides import check_read
from smoothbench.config.spec import Settings
from smoothbench.running.experiment import Experiment

FEW = "metrics=[fd_nano,is_nano,agreement_nano,psnr,ssim]"


def composed(*overrides: str) -> DictConfig:
    """A configuration of the caller's own; what differs in its folder alone is composed once."""
    folders = [o for o in overrides if o.startswith("results_dir=") and o != "results_dir=null"]
    cfg = deepcopy(_composed(*(override for override in overrides if override not in folders)))
    for folder in folders:
        cfg.results_dir = folder.partition("=")[2]
    return cfg


@cache  # composing takes a sixth of a second
def _composed(*overrides: str) -> DictConfig:
    GlobalHydra.instance().clear()
    with initialize_config_module("conf", version_base="1.3"):
        return compose("config", list(overrides))


def experiment(folder: Path, *overrides: str, sweeps: Mapping[str, Any] | None = None) -> Experiment:
    """The smoke experiment, smaller; `sweeps` replaces the sweeps of some of its points."""
    small = ["num_samples=6", "batch_size=4", "latency.rounds=0", "device=cpu", f"results_dir={folder}"]
    if not any(override.startswith("metrics=") for override in overrides):
        small.append(FEW)  # those that need the real images take seconds in a fresh folder
    small = [each for each in small if each.split("=")[0] not in {o.split("=")[0] for o in overrides}]
    cfg = composed("+exp=smoke", *small, *overrides)
    with open_dict(cfg):
        for point, sweep in (sweeps or {}).items():
            cfg.points[point].sweep = sweep
    return Experiment(settings(cfg))


def checked(*overrides: str) -> Settings:
    """The plan of a command whose overrides are all read."""
    GlobalHydra.instance().clear()
    with initialize_config_module("conf", version_base="1.3"):
        cfg = compose("config", list(overrides), return_hydra_config=True)
    hydra = cfg.hydra
    with open_dict(cfg):
        del cfg["hydra"]
    plan = settings(cfg)
    check_read(cfg, hydra)
    return plan
