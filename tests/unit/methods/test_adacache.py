"""AdaCache against its rule in float64: the decisions, the outputs; and its refusals."""

from typing import Any

import pytest
import torch

from baselines.adacache import AdaCache
from smoothbench.caching import Evaluation, Trajectory, Warmup, cached, find_sites
from smoothbench.caching.knobs import Range
from tests.oracles.adacache import adacache
from tests.oracles.double_dit import DoubleDiT
from tests.support.fast_models import fast_model
from tests.support.tiny_denoisers.unets import UNETS
from tests.support.tiny_dit import TinyDiT

FAST = {0.08: 6, 0.16: 5, 0.24: 4, 0.32: 3, 0.40: 2, 1.00: 1}


@pytest.mark.parametrize(("scale", "book"), [(0.5, FAST), (1.0, FAST), (3.0, FAST), (1.0, {0.3: 4, 9.0: 2})])
def test_it_follows_its_rule(tiny: TinyDiT, scale: float, book: dict[float, int]) -> None:
    codebook = {scale * threshold: rate for threshold, rate in book.items()}
    expected, recomputed = adacache(DoubleDiT(tiny.denoiser), codebook, block=1)
    policy = AdaCache(scale, tuple(book)[:-1], tuple(book.values()))
    for _ in range(2):  # the second run starts clean
        with cached(tiny.denoiser, policy, evals=12) as run:
            x = tiny.run()
        assert [e + 1 for e, bits in enumerate(run.realised) if bits[0]] == recomputed
        assert torch.allclose(x.double(), expected, atol=2e-4) and 3 < len(recomputed) < 12
        assert run.calls == dict.fromkeys(("blocks.0-2.span", "blocks.1-1.span"), len(recomputed))


def test_in_a_warm_up_the_change_is_that_of_one_evaluation(tiny: TinyDiT) -> None:
    """The change of 0.5 from evaluation 1 to 2 is that of one evaluation, though the rate before was 3."""
    policy: Any = Warmup(AdaCache(1.0, (0.3,), (3, 1)), 3)
    added, computed = 1.0, []
    sites = AdaCache().choose_sites(tiny.denoiser)
    for e, growth in enumerate((1.0, 1.1, 1.5, 1.1, 1.1, 1.1, 1.1)):
        evaluation = Evaluation(e, 12, None, 0, torch.zeros(1), sites, starts_run=e == 0)
        added *= growth
        if policy.decide(evaluation)[0]:
            computed.append(e)
            policy.observe(sites[-1], evaluation, lambda: None, (torch.tensor([added]),))
    assert computed == [0, 1, 2, 3, 6]


def test_each_forward_of_an_evaluation_has_a_rate_of_its_own(tiny: TinyDiT) -> None:
    """The first one's block changes little, the second one's much."""
    policy, sites = AdaCache(1.0, (0.3,), (3, 1)), AdaCache().choose_sites(tiny.denoiser)
    computed: tuple[list[int], list[int]] = ([], [])
    for e in range(9):
        for index, growth in enumerate((1.1, 2.0)):
            evaluation = Evaluation(
                e, 12, None, index, torch.zeros(1), sites, starts_run=(e, index) == (0, 0)
            )
            if policy.decide(evaluation)[0]:
                computed[index].append(e)
                policy.observe(sites[-1], evaluation, lambda: None, (torch.tensor([growth**e]),))
    assert computed == ([0, 1, 4, 7], list(range(9)))


def test_a_scale_of_0_gives_the_uncached_bits(tiny: TinyDiT) -> None:
    with pytest.warns(UserWarning, match="skipped nothing"), cached(tiny.denoiser, AdaCache(0), evals=12):
        x = tiny.run()
    assert torch.equal(x, tiny.run())
    trajectory = Trajectory(find_sites(tiny.denoiser, "span"), tuple(range(12)))
    assert AdaCache().settings(trajectory) == Range(0.0, 25.0)


def test_the_middle_block_is_looked_at() -> None:
    """In STDiT3 it is the temporal one of the middle pair, as in the published code."""
    sites = AdaCache().choose_sites(fast_model("stdit3").denoiser)
    last = int(sites[0].block_label.split("-")[1])
    assert sites[-1].block_label == f"{last // 2}-{last // 2}"
    assert sites[-1].blocks == (f"temporal_blocks.{last // 4}",)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"scale": -1}, "AdaCache's scale must be a finite number from 0, not -1"),
        (
            {"rates": (6, 5, 4, 3, 2, 0)},
            r"AdaCache's rates must be whole numbers from 1, not \[6, 5, 4, 3, 2, 0\]",
        ),
        (
            {"rates": (2, 1)},
            r"AdaCache's thresholds must be rising, above 0 and one fewer than its 2 rates, not",
        ),
        ({"thresholds": 0.1}, "AdaCache's thresholds must be a list of numbers, not 0.1"),
        ({"rates": None}, "AdaCache's rates must be a list of numbers, not None"),
        ({"thresholds": (), "rates": (1,)}, "one fewer than its 1 rates"),
        ({"thresholds": (0.2, 0.1), "rates": (3, 2, 1)}, "must be rising"),
        ({"thresholds": (0.0, 0.1), "rates": (3, 2, 1)}, "above 0"),
    ],
)
def test_refusals(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AdaCache(**parameters)


def test_a_u_net_is_refused() -> None:
    unet = UNETS["UNet2DModel"].build("UNet2DModel")
    with pytest.raises(
        ValueError, match="AdaCache needs a transformer's stack of blocks, and UNet2DModel is a U-Net"
    ):
        AdaCache().choose_sites(unet)
