"""The smallest denoiser with sites, and a loop that samples it; its timestep can be of any convention."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

EVALS = 10
Timestep = Callable[[int], Tensor]


class Block(nn.Module):
    """Two linear residual branches."""

    def __init__(self) -> None:
        super().__init__()
        self.attn1, self.ff = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn1(x)
        return x + self.ff(x)


class Denoiser(nn.Module):
    """Two blocks that ignore the time."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.blocks = nn.ModuleList([Block(), Block()])

    def forward(self, x: Tensor, timestep: Tensor | None = None) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x


class Adapter(nn.Module):
    """Holds a model as a part of itself, as adapters do; a pipeline may go on calling the model."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.model(*args, **kwargs)


def falls(e: int) -> Tensor:
    return torch.tensor([10.0 - e])


def rises(e: int) -> Tensor:
    return torch.tensor([e / 10])


def falls_per_token(e: int) -> Tensor:
    return torch.tensor([[0.0, 10.0 - e, 10.0 - e]])  # the first frame is given


def rises_per_token(e: int) -> Tensor:
    return torch.tensor([[1.0, e / 10, e / 10]])


def never_changes(e: int) -> Tensor:
    return torch.tensor([5.0])


def sample(
    model: nn.Module, timestep: Timestep, evals: int = EVALS, calls: int = 1, announcer: Any = None
) -> Tensor:
    outputs = []
    with torch.no_grad():
        for e in range(evals):
            for forward_index in range(calls):
                if announcer is not None:
                    announcer.step(e, forward_index=forward_index)
                outputs.append(model(torch.full((1, 8), e + 1.0 + forward_index), timestep=timestep(e)))
    return torch.stack(outputs)
