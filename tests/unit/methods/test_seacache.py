"""SeaCache against its rule in float64: the filter, the decisions, the outputs; and its refusals."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from baselines.seacache import SeaCache
from baselines.wiener_filter import wiener_filtered
from smoothbench.caching import Evaluation, Trajectory, cached, find_sites
from smoothbench.protocols import KnowsNoise
from smoothbench.solvers.ddim import DDIM
from smoothbench.solvers.dpm_singlestep import DPMSolverSinglestep
from smoothbench.solvers.dpmpp import DPMSolverPlusPlus2M
from smoothbench.solvers.dpmpp_3m_sde import DPMSolverPlusPlus3MSDE
from smoothbench.solvers.euler import Euler
from smoothbench.solvers.rflow import RectifiedFlow
from tests.oracles.double_dit import DoubleDiT
from tests.oracles.seacache import filtered, seacache
from tests.support.tiny_denoisers.unets import UNETS
from tests.support.tiny_dit import TinyDiT

ALPHAS_BAR = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0).tolist()


@dataclass(frozen=True)
class Levels:
    """The noise of `TinyDiT.run()`."""

    coordinates: tuple[float, ...] = tuple(float(t) for t in torch.linspace(999, 0, 12).long())

    @property
    def noise_to_signal(self) -> tuple[float, ...]:
        return tuple(math.sqrt(1 / ALPHAS_BAR[int(t)] - 1) for t in self.coordinates)


@pytest.mark.parametrize(
    ("threshold", "longest"), [(0.1, None), (0.25, None), (0.6, None), (12.0, None), (12.0, 2)]
)
def test_it_follows_its_rule(tiny: TinyDiT, threshold: float, longest: int | None) -> None:
    expected, computed = seacache(DoubleDiT(tiny.denoiser), ALPHAS_BAR, threshold, longest)
    policy = SeaCache(threshold, noise=Levels(), longest=longest)
    for _ in range(2):  # the second run starts clean
        with cached(tiny.denoiser, policy, evals=12) as run:
            x = tiny.run()
        assert [bits[0] for bits in run.realised] == computed and 2 <= sum(computed) < 12
        assert torch.allclose(x.double(), expected, atol=2e-4)


def test_each_forward_of_an_evaluation_has_a_sample_of_its_own(tiny: TinyDiT) -> None:
    sites = SeaCache(noise=Levels()).choose_sites(tiny.denoiser)
    x = torch.randn(2, 2, 1, 8, 8, generator=torch.Generator().manual_seed(0))

    def decided(*indices: int) -> list[list[bool]]:
        policy = SeaCache(0.5, noise=Levels())
        return [
            [
                policy.decide(Evaluation(e, 12, None, i, x[i] * 1.1**e, sites, (e, i) == (0, indices[0])))[0]
                for i in indices
            ]
            for e in range(12)
        ]

    both, first, second = decided(0, 1), decided(0), decided(1)
    assert both == [[*a, *b] for a, b in zip(first, second, strict=True)]
    assert 2 < sum(bits[0] for bits in first) < 12


def test_the_filter_is_the_published_one() -> None:
    """For flows and for noise that keeps the variance, and where nearly all is noise."""
    x = torch.randn(2, 3, 8, 6, generator=torch.Generator().manual_seed(0))
    for a, b in ((0.3, 0.7), (0.6, 0.8), (0.99, 0.01), (1e-6, 1 - 1e-6)):
        expected = filtered(x.double(), a, b, 2.0)
        assert np.allclose(wiener_filtered(x, b / a).numpy(), expected, atol=1e-5)
    assert torch.allclose(wiener_filtered(x, math.inf), wiener_filtered(x, 1e6))
    assert torch.equal(wiener_filtered(x, 0.5), wiener_filtered(x, 0.5, 2.0))
    clip, sound = x.reshape(1, 3, 2, 8, 6), x.reshape(2, 3, 48)
    assert torch.equal(wiener_filtered(clip, 0.5), wiener_filtered(clip, 0.5, 3.0))
    assert torch.equal(wiener_filtered(sound, 0.5), wiener_filtered(sound, 0.5, 2.0))


def test_a_threshold_of_0_gives_the_uncached_bits(tiny: TinyDiT) -> None:
    policy = SeaCache(0, noise=Levels())
    with pytest.warns(UserWarning, match="skipped nothing"), cached(tiny.denoiser, policy, evals=12):
        x = tiny.run()
    assert torch.equal(x, tiny.run())


def test_solvers_know_how_noisy_their_samples_are() -> None:
    """x = alpha x0 + sigma noise: what the denoiser gets of x0 = 0 has a variance of sigma^2, of noise 0 of alpha^2."""
    for solver in (DDIM(9), Euler(9), DPMSolverPlusPlus2M(9), DPMSolverSinglestep(8)):
        assert isinstance(solver, KnowsNoise) and len(solver.noise_to_signal) == solver.steps
        assert list(solver.noise_to_signal) == sorted(solver.noise_to_signal, reverse=True)
    alphas_bar = DDIM(9).alphas_bar()
    for t, ratio in zip(DDIM(9).coordinates, DDIM(9).noise_to_signal, strict=True):
        assert ratio == pytest.approx(math.sqrt(1 / float(alphas_bar[int(t)]) - 1))
    singlestep = DPMSolverSinglestep(8)
    at_1 = float(singlestep.alphas_bar()[-1])
    assert singlestep.noise_to_signal[0] == pytest.approx(math.sqrt(1 / at_1 - 1))
    sde = DPMSolverPlusPlus3MSDE(9)
    assert sde.noise_to_signal == sde.coordinates
    flow = RectifiedFlow(4, shift=1.0)
    assert flow.noise_to_signal == (math.inf, 3.0, 1.0, pytest.approx(1 / 3))


def test_refusals(tiny: TinyDiT) -> None:
    with pytest.raises(ValueError, match="SeaCache's threshold must be a finite number from 0, not -1"):
        SeaCache(-1, noise=Levels())
    for power in (0, -2.0, math.inf, "2"):
        with pytest.raises(
            ValueError, match="SeaCache's power must be a finite number above 0, or null, not"
        ):
            SeaCache(noise=Levels(), power=power)  # type: ignore[arg-type]
    for longest in (0, 1.5):
        with pytest.raises(ValueError, match="SeaCache's longest must be a whole number from 1, not"):
            SeaCache(noise=Levels(), longest=longest)  # type: ignore[arg-type]
    unet = UNETS["UNet2DModel"].build("UNet2DModel")
    with pytest.raises(
        ValueError, match="SeaCache needs a transformer's stack of blocks, and UNet2DModel is a U-Net"
    ):
        SeaCache(noise=Levels()).choose_sites(unet)


def test_the_noise_of_another_run_is_refused(tiny: TinyDiT) -> None:
    policy = SeaCache(noise=Levels())
    with (
        pytest.raises(ValueError, match="SeaCache's solver is for 12 evaluations, not for 10"),
        cached(tiny.denoiser, policy, evals=10),
    ):
        tiny.run(evals=10)
    with (
        pytest.raises(ValueError, match="is for timestep 999 at evaluation 0, and the run is at 500"),
        cached(tiny.denoiser, policy, evals=12) as run,
    ):
        tiny.run(before=lambda e, t: run.step(e, t / 2 + 0.5))
    sites = find_sites(tiny.denoiser, "span")
    assert policy.supports(Trajectory(sites, Levels().coordinates), None) is None
    reason = policy.supports(Trajectory(sites, Levels().coordinates[:6]), None)
    assert reason is not None and reason.endswith("999 to 544 in 6 evaluations")
    unknowing = SeaCache(noise=object())  # type: ignore[arg-type]
    reason = unknowing.supports(Trajectory(sites, Levels().coordinates), None)
    assert reason == "SeaCache needs the noise of each evaluation, and object does not tell it"
