"""TeaCache against its rule in float64: the fit, the decisions, the outputs; and its refusals."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from baselines.polynomial import Polynomial, fitted_to
from baselines.teacache import TeaCache
from smoothbench.caching import CalibrationBatch, Evaluation, Probe, Trajectory, cached, find_sites
from tests.oracles.double_dit import DoubleDiT
from tests.oracles.teacache import pairs, teacache
from tests.support.tiny_denoisers.unets import UNETS
from tests.support.tiny_dit import TinyDiT, build_tiny

TIMESTEPS = tuple(float(t) for t in torch.linspace(999, 0, 12).long())


@pytest.fixture(scope="module")
def fitted() -> tuple[TinyDiT, TeaCache]:
    tiny = build_tiny()
    trajectory = Trajectory(find_sites(tiny.denoiser, "span"), TIMESTEPS)
    batch = CalibrationBatch(
        tiny.denoiser, lambda announcer: tiny.run(before=announcer.step), trajectory, rows_per_sample=2
    )
    method = TeaCache(0.3)
    assert not method.is_fitted and method.digest is None
    return tiny, method.fitted(method.fit_on(trajectory, batch))


def test_the_polynomial_is_the_least_squares_fit_of_order_4(fitted: tuple[TinyDiT, TeaCache]) -> None:
    tiny, method = fitted
    xs, ys = pairs(DoubleDiT(tiny.denoiser))
    expected = np.poly1d(np.polyfit(xs, ys, 4))
    assert method.polynomial is not None and len(method.polynomial.coefficients) == 5
    for x in np.linspace(min(xs), max(xs), 7):
        assert method.polynomial(float(x)) == pytest.approx(float(expected(x)), abs=1e-3)
    left = np.square(np.array(ys) - expected(xs)).sum() / np.square(np.array(ys) - np.mean(ys)).sum()
    assert method.polynomial.r_squared == pytest.approx(1 - left, abs=1e-3)


def test_a_fit_needs_a_pair_for_each_coefficient() -> None:
    pairs = torch.linspace(0.1, 0.5, 5, dtype=torch.float64)
    for count in (0, 1, 4):
        with pytest.raises(
            ValueError, match=f"of order 4 cannot be fitted to {count} pairs of .*: it takes 5"
        ):
            fitted_to(pairs[:count], pairs[:count], order=4)
    coefficients, r_squared = fitted_to(pairs, torch.full_like(pairs, 0.3), order=4)
    assert Polynomial(coefficients)(0.2) == pytest.approx(0.3) and r_squared is None  # nothing varies


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.6, 12.0])
def test_it_follows_its_rule(fitted: tuple[TinyDiT, TeaCache], threshold: float) -> None:
    tiny, method = fitted
    assert method.polynomial is not None
    expected, computed = teacache(DoubleDiT(tiny.denoiser), method.polynomial.coefficients, threshold)
    policy = replace(method, threshold=threshold)
    for _ in range(2):  # the second run starts clean
        with cached(tiny.denoiser, policy, evals=12) as run:
            x = tiny.run()
        assert [bits[0] for bits in run.realised] == computed and 2 <= sum(computed) < 12
        assert torch.allclose(x.double(), expected, atol=2e-4)
        assert run.probe_calls == {"blocks.0-2.span up to blocks.0.self_attn": 12 - sum(computed)}


def test_a_threshold_of_0_gives_the_uncached_bits(fitted: tuple[TinyDiT, TeaCache]) -> None:
    """Also where the polynomial predicts changes below 0."""
    tiny, _ = fitted
    policy = TeaCache(0, Polynomial([1.0, -9.0]))
    with pytest.warns(UserWarning, match="skipped nothing"), cached(tiny.denoiser, policy, evals=12):
        x = tiny.run()
    assert torch.equal(x, tiny.run())


def test_a_sum_that_is_the_threshold_or_no_number_is_computed() -> None:
    policy, changes = TeaCache(0.5), (None, 0.25, 0.25, 0.25, math.nan, 0.25)
    places = [Evaluation(e, 9, None, 0, torch.zeros(1), (), starts_run=e == 0) for e in range(len(changes))]
    decided = [policy.computes(place, change) for place, change in zip(places, changes, strict=True)]
    assert decided == [True, False, True, False, True, False]


def test_each_forward_of_an_evaluation_has_a_sum_of_its_own() -> None:
    sites = find_sites(build_tiny().denoiser, "span")

    def decided(policy: TeaCache, index: int, factor: float, e: int) -> bool:
        x = torch.ones(2, 3) * factor**e
        evaluation = Evaluation(e, 9, None, index, x, sites, starts_run=(e, index) == (0, 0))
        policy.decide(evaluation)
        return policy.decide_after(Probe("blocks.0.self_attn", "input"), evaluation, x)[0]

    both, alone = (TeaCache(0.5, Polynomial([1.0, 0.0])) for _ in range(2))
    interleaved = [[decided(both, i, factor, e) for i, factor in enumerate((1.2, 1.6))] for e in range(9)]
    slow = [decided(alone, 0, 1.2, e) for e in range(9)]
    assert (
        [bits[0] for bits in interleaved]
        == slow
        == [True, False, False, True, False, False, True, False, True]
    )
    assert all(bits[1] for bits in interleaved)


def test_a_polynomial_of_another_model_or_run_is_refused(fitted: tuple[TinyDiT, TeaCache]) -> None:
    tiny, method = fitted
    other = build_tiny()
    other.denoiser.extra = torch.nn.Linear(2, 2)
    with (
        pytest.raises(
            ValueError, match=r"fitted on a DiTTransformer2DModel with .* and this is a .*: fit it anew"
        ),
        cached(other.denoiser, method, evals=12),
    ):
        other.run()
    with (
        pytest.raises(ValueError, match="the polynomial is for 12 evaluations, not for 10"),
        cached(tiny.denoiser, method, evals=10),
    ):
        tiny.run(evals=10)
    with (
        pytest.raises(ValueError, match="is for timestep 999 at evaluation 0, and the run is at 500"),
        cached(tiny.denoiser, method, evals=12) as run,
    ):
        tiny.run(before=lambda e, t: run.step(e, t / 2 + 0.5))
    trajectory = Trajectory(find_sites(tiny.denoiser, "span"), TIMESTEPS[:6])
    reason = method.supports(trajectory, None)
    assert reason is not None and reason.endswith("999 to 544 in 6 evaluations")
    assert method.supports(Trajectory(trajectory.sites, TIMESTEPS), None) is None


def test_refusals(tiny: TinyDiT) -> None:
    for threshold in (-0.1, float("nan"), float("inf"), True, "0.1"):
        with pytest.raises(ValueError, match="TeaCache's threshold must be a finite number from 0, not"):
            TeaCache(threshold)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"TeaCache's polynomial must be a Polynomial or null, not \[1, 0\]"):
        TeaCache(0.1, polynomial=[1, 0])  # type: ignore[arg-type]
    for coefficients in ([], [float("nan")], "12", [None]):
        with pytest.raises(ValueError, match="coefficients must be finite numbers"):
            Polynomial(coefficients)  # type: ignore[arg-type]
    with (
        pytest.raises(ValueError, match="TeaCache has no polynomial yet"),
        cached(tiny.denoiser, TeaCache(0.1), evals=12),
    ):
        tiny.run()
    unet = UNETS["UNet2DModel"].build("UNet2DModel")
    with pytest.raises(
        ValueError, match="TeaCache needs a transformer's stack of blocks, and UNet2DModel is a U-Net"
    ):
        TeaCache(0.1).choose_sites(unet)
