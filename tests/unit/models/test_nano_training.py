"""Training of the embedded networks goes on where it stopped."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from smoothbench.models.nano.training import Recipe, train

RECIPE = Recipe(steps=8, lr=0.1, warmup=2, ema=0.5, look_every=3)


def trained(folder: Path, stop_at: int | None = None) -> dict[str, Tensor]:
    torch.manual_seed(0)
    steps = iter(range(100))

    def loss(model: nn.Module, generator: torch.Generator) -> Tensor:
        if next(steps) == stop_at:
            raise KeyboardInterrupt
        x = torch.randn(16, 4, generator=generator)
        return (model(x) - x.sum(1, keepdim=True)).pow(2).mean()

    def validate(model: nn.Module) -> float:
        return (model.weight - 1).pow(2).sum().item()

    return train(nn.Linear(4, 1), loss, validate, RECIPE, folder).state_dict()


def test_an_interrupted_training_ends_with_the_same_weights(tmp_path: Path) -> None:
    uninterrupted = trained(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "cut", stop_at=5)
    resumed = trained(tmp_path / "cut")
    assert all(torch.equal(resumed[name], uninterrupted[name]) for name in uninterrupted)
    assert not torch.equal(uninterrupted["weight"], torch.zeros(1, 4))


def test_a_training_of_no_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="0 steps train nothing"):
        Recipe(steps=0, lr=0.1)
