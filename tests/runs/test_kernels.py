"""How many kernels an evaluation launches at the depth of DiT-XL/2, counted on a pretended CUDA device."""

from collections.abc import Iterator

import pytest
import torch
from diffusers import DiTTransformer2DModel
from torch import nn

from smoothbench.caching import Schedule, cached, find_sites
from smoothbench.solvers.ddim import DDIM
from tests.support.pretended_cuda import CUDA, Ledger, pretended_cuda, synchronisations

DEPTH = 28
SOLVER = DDIM(5)
COMPUTED = [True, True, False, False, True]  # by evaluation


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with pretended_cuda() as ledger, torch.no_grad():
        yield ledger


@pytest.fixture
def deep_dit(ledger: Ledger) -> nn.Module:
    """As deep as DiT-XL/2, and narrow: the number of kernels does not depend on the width."""
    sizes = {"num_attention_heads": 2, "attention_head_dim": 8, "in_channels": 4, "out_channels": 8}
    more = {"sample_size": 8, "patch_size": 2, "num_embeds_ada_norm": 1000}
    return DiTTransformer2DModel(num_layers=DEPTH, **sizes, **more).eval().requires_grad_(False).to(CUDA)


def kernels(denoiser: nn.Module, level: str, fast: bool, ledger: Ledger) -> list[int]:
    """The kernels of each evaluation; none after the first one makes the device wait."""
    schedule = Schedule.steps(find_sites(denoiser, level), COMPUTED, {"method": "x"})
    x, labels = torch.zeros(2, 4, 8, 8, device=CUDA), torch.arange(2, device=CUDA)
    counts = []
    with cached(denoiser, schedule, fast=fast, coordinates=SOLVER.coordinates) as run:
        for e, t in enumerate(SOLVER.coordinates):
            before = ledger.launches
            run.step(e, t)
            with ledger.since() as events:
                timestep = torch.full((2,), int(t), device=CUDA)
                denoiser(x, timestep=timestep, class_labels=labels, return_dict=False)
            assert not (e and synchronisations(events))
            counts.append(ledger.launches - before)
    return counts


def test_a_reused_evaluation_launches_few_kernels(deep_dit: nn.Module, ledger: Ledger) -> None:
    own, fast = (kernels(deep_dit, "branch", fast, ledger) for fast in (False, True))
    assert own[2] == own[3] > 600 and own[1] > 1000, own
    assert fast[2] == fast[3] <= 15, fast
    assert fast[4] < own[4] / 2, fast
    span = kernels(deep_dit, "span", True, ledger)
    assert span[2] == span[3] <= 12, span
