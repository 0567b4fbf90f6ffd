"""Magnitude ratios, by which MagCache plans, where a stream holds text beside the picture."""

from typing import Any

import pytest
import torch
from torch import Tensor

from baselines.magcache import MagCache
from smoothbench.caching import CalibrationBatch, Probe, Trajectory, find_sites
from tests.support.tiny_denoisers import TINY


def moving(name: str, *lengths: int) -> tuple[Trajectory, CalibrationBatch]:
    """Runs of a tiny denoiser at five noise levels, one for each length of the prompt."""
    denoiser, levels = TINY[name].build(name), (1.0, 0.8, 0.6, 0.4, 0.2)

    @torch.no_grad()
    def sample(announcer: Any) -> Tensor:
        for length in lengths:
            for e, level in enumerate(levels):
                given = TINY[name].at(level)
                announcer.step(e, level)
                denoiser(**{k: v[:, :length] if k.startswith("encoder_") else v for k, v in given.items()})
        return torch.zeros(2 * len(lengths), 1)

    on = Trajectory(find_sites(denoiser, "span"), levels)
    return on, CalibrationBatch(denoiser, sample, on)


def test_magnitudes_of_a_joined_stream_are_those_of_the_picture() -> None:
    """AuraFlow's second stack has 14 tokens of text before the picture's 16, which the first one has alone."""
    on, batch = moving("AuraFlowTransformer2DModel", 6)
    first, joined = (batch.record([Probe(site.name)]).tensor(Probe(site.name)) for site in on.sites)
    assert (first.shape[3], joined.shape[3]) == (16, 30)
    norms = (first + joined[..., 14:, :]).norm(dim=-1)
    ratios = (norms[1:] / norms[:-1]).flatten(1).mean(1)
    assert MagCache(0.1).plan_on(on, batch).meta["ratios"][1:] == pytest.approx(ratios.tolist(), rel=1e-4)


def test_magnitudes_leave_out_the_padding_of_shorter_prompts() -> None:
    """The mean is over the tokens that there are: 16 of a picture and 6 or 3 of a text."""
    ratios = []
    for lengths in ((6,), (3,), (6, 3)):
        on, batch = moving("Lumina2Transformer2DModel", *lengths)
        ratios.append(torch.tensor(MagCache(0.1).plan_on(on, batch).meta["ratios"]))
    long, short, both = ratios
    torch.testing.assert_close(both, (22 * long + 19 * short) / 41, rtol=1e-4, atol=0)
