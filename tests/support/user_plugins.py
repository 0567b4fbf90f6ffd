"""Plug-ins of a user that tests write, edit and load anew, in files or in a notebook's cells."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

METRIC = '''
from users.loss import loss

class Mine:
    """A metric."""
    inputs = ("samples",)
    higher_is_better = True
    def per_sample(self, samples):
        return loss(samples)
    def score(self, rows):
        from metrics.score import mean_score
        return mean_score(rows)
'''
LOSS = """
def loss(samples):
    return samples.double().flatten(1).mean(1)
"""
ENCODER = """
from torch import nn

class Halves(nn.Module):
    def forward(self, images):
        return {"features": images.flatten(1)[:, :4].float() / 2}
"""
PREDICTOR = """
class Last:
    depth, coordinate = 1, "index"
    def __call__(self, history, now):
        return history[0][1] * 1.0
"""
DYNAMIC = """
class EverySecond:
    def decide(self, evaluation):
        return [evaluation.e % 2 == 0] * len(evaluation.sites)
"""
SOLVER = """
from dataclasses import dataclass
from smoothbench.solvers.ddim import DDIM

@dataclass(frozen=True)
class Own(DDIM):
    def step(self, e, state, output, noise):
        return super().step(e, state, output, noise) * 1.0
"""


def write(folder: Path, monkeypatch: pytest.MonkeyPatch, **sources: str) -> None:
    """Modules of the package `users`, as they are from now on: what was loaded of them is forgotten."""
    (folder / "users").mkdir(exist_ok=True)
    (folder / "users/__init__.py").touch()
    for name, source in sources.items():
        (folder / f"users/{name}.py").write_text(source)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for name in [name for name in sys.modules if name.partition(".")[0] == "users"]:
        del sys.modules[name]
    importlib.invalidate_caches()


def cell(monkeypatch: pytest.MonkeyPatch, source: str) -> ModuleType:
    """A module without a file, as a notebook's is."""
    module = ModuleType("cells")
    exec(source, module.__dict__)
    monkeypatch.setitem(sys.modules, "cells", module)
    return module


TRAINING = """
class Trainer:
    def fit(self, teacher, checkpoint):
        return checkpoint.encode()
"""
PICKY = """
from dataclasses import dataclass
from baselines.fora import FORA

@dataclass(frozen=True)
class Picky(FORA):
    name, version = "picky", 1
    reason: str | None = "needs a video model"

    def supports(self, trajectory, model):
        return self.reason and f"{self.reason}: {model.name} has {len(trajectory.sites)} sites"

    def plan(self, trajectory, curves=None):
        assert not self.reason, "it is never planned where it is not supported"
        return super().plan(trajectory, curves)
"""
