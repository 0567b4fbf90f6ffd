"""One training loop for the small networks of this folder: EMA, checkpoints, resume at any step."""

import copy
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from smoothbench.storage.files import replacing


@dataclass(frozen=True)
class Recipe:
    """The length and speed of a training: optimiser steps, peak learning rate, and how often to validate.

    Raises ValueError for less than one step.
    """

    steps: int
    lr: float
    weight_decay: float = 0.0
    warmup: int = 500
    ema: float = 0.9995
    look_every: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"{self.steps} steps train nothing: give a larger --steps, --images or --clips")

    def lr_at(self, step: int) -> float:
        """Return the learning rate of a step: a linear warm-up, then a cosine to zero."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.lr * 0.5 * (1 + math.cos(math.pi * done))

    def generator(self, step: int) -> torch.Generator:
        """Return the generator of one step, a function of its number, so that a resumed run draws the same."""
        return torch.Generator().manual_seed(self.seed * 10**9 + step)


def train(
    model: nn.Module,
    loss: Callable[[nn.Module, torch.Generator], Tensor],
    validate: Callable[[nn.Module], float],
    recipe: Recipe,
    folder: Path,
) -> nn.Module:
    """Minimise `loss` and return the moving average of the weights with the lowest `validate`.

    Every `look_every` steps the state goes to `folder/checkpoint.pt`, from where the same call
    goes on, and `folder/training.json` tells the steps, seconds and losses so far.
    """
    torch.set_flush_denormal(True)  # vanishing moments of Adam are slow on CPU otherwise
    state = _State(model, recipe, folder)
    bar = tqdm(total=recipe.steps, initial=state.step, desc=folder.name, mininterval=2.0)
    started = time.monotonic()
    model.train()
    while state.step < recipe.steps:
        state.running += state.update(loss(model, recipe.generator(state.step)))
        bar.update()
        if state.step % recipe.look_every == 0 or state.step == recipe.steps:
            state.seconds += time.monotonic() - started
            started = time.monotonic()
            state.look(validate)
            bar.set_postfix(state.history[-1])
    bar.close()
    state.ema.load_state_dict(state.best)
    return state.ema


class _State:
    """The state of a training that a resumed run needs."""

    def __init__(self, model: nn.Module, recipe: Recipe, folder: Path) -> None:
        self.model, self.recipe, self.folder = model, recipe, folder
        self.ema = copy.deepcopy(model).eval().requires_grad_(False)
        self.optimizer = torch.optim.AdamW(model.parameters(), weight_decay=recipe.weight_decay, fused=True)
        self.best = copy.deepcopy(self.ema.state_dict())
        self.step, self.seconds, self.running = 0, 0.0, 0.0
        self.history: list[dict[str, float]] = []
        self.file = folder / "checkpoint.pt"
        if self.file.exists():
            self._load(torch.load(self.file, map_location="cpu", weights_only=True))

    def update(self, loss: Tensor) -> float:
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.lr_at(self.step)
        self.optimizer.step()
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.ema.parameters()), list(self.model.parameters()), 1 - decay)
            for old, new in zip(self.ema.buffers(), self.model.buffers(), strict=True):
                old.copy_(new)
        self.step += 1
        return loss.item()

    def look(self, validate: Callable[[nn.Module], float]) -> None:
        value = validate(self.ema)
        if value <= min((row["validation"] for row in self.history), default=math.inf):
            self.best = copy.deepcopy(self.ema.state_dict())
        every = self.step - int(self.history[-1]["step"] if self.history else 0)
        self.history.append({"step": self.step, "loss": self.running / every, "validation": value})
        self.running = 0.0
        self._save()

    def _save(self) -> None:
        names = ("step", "seconds", "history", "best")
        parts = {n: getattr(self, n).state_dict() for n in ("model", "ema", "optimizer")}
        with replacing(self.file) as file:
            torch.save(parts | {n: getattr(self, n) for n in names}, file)
        log = {"steps": self.step, "seconds": round(self.seconds), "history": self.history}
        with replacing(self.folder / "training.json") as file:
            file.write((json.dumps(log, indent=1) + "\n").encode())

    def _load(self, saved: dict) -> None:
        for name in ("model", "ema", "optimizer"):
            getattr(self, name).load_state_dict(saved[name])
        for name in ("step", "seconds", "history", "best"):
            setattr(self, name, saved[name])
