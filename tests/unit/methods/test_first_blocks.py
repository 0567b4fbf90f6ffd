"""FBCache and DBCache decide and sample as their rules, written out in float64."""

from typing import Any

import pytest
import torch

from baselines.dbcache import DBCache
from baselines.fbcache import FBCache
from smoothbench.caching import cached
from smoothbench.caching.engine import Run
from tests.oracles.block_by_block import EVALS, BlockByBlock, plain, sampled
from tests.oracles.first_blocks import FirstBlocksOracle
from tests.support.tiny_denoisers.unets import UNETS
from tests.support.tiny_dit import TinyDiT

F1B1 = {"first_blocks": 1, "last_blocks": 1}
CASES: list[tuple[Any, dict[str, Any]]] = [
    (FBCache(0.28), {"inclusive": True}),
    (FBCache(0.4), {"inclusive": True}),
    (FBCache(9.0), {"inclusive": True}),
    (DBCache(0.3, **F1B1, warmup_steps=0), {"bn": 1}),
    (DBCache(0.2, 2, 0, warmup_steps=4, warmup_interval=2), {"fn": 2, "warmup": 4, "warmup_interval": 2}),
    (DBCache(1.0, **F1B1, max_consecutive_steps=2), {"bn": 1, "warmup": 4, "max_row": 2}),
    (DBCache(1.0, 1, 0, warmup_steps=1, max_cached_steps=5), {"warmup": 1, "max_total": 5}),
    (DBCache(1.0, 1, 0, 1, 1, 3, 3), {"warmup": 1, "max_total": 3, "max_row": 3}),
]


def computed(run: Run) -> list[int]:
    return [e for e, bits in enumerate(run.realised) if all(bits)]


@pytest.mark.parametrize(("policy", "rule"), CASES)
@pytest.mark.parametrize("forwards", [1, 2])
def test_decisions_and_samples_are_those_of_the_rule(
    tiny: TinyDiT, policy: Any, rule: dict[str, Any], forwards: int
) -> None:
    model = BlockByBlock(tiny.denoiser)
    oracles = [FirstBlocksOracle(model, policy.threshold, **rule) for _ in range(forwards)]
    expected = sampled(oracles)
    with cached(tiny.denoiser, policy, evals=EVALS, calls_per_eval=forwards) as run:
        x = sampled([plain(tiny.denoiser)] * forwards, torch.float32)
    assert computed(run) == oracles[0].computed and 1 <= len(oracles[0].computed) < EVALS
    names = [site.name for site in run.sites]
    total = sum(len(oracle.computed) for oracle in oracles)
    always = {names[0], names[-1]} if rule.get("bn") else {names[0]}
    assert run.calls == {name: EVALS * forwards if name in always else total for name in names}
    assert (x - expected).abs().max() < 1e-4 * expected.abs().max()
    distances = [abs(change / policy.threshold - 1) for o in oracles for change in o.changes]
    assert min(distances) > 1e-4  # no decision hangs on rounding


@pytest.mark.parametrize("policy", [FBCache(0.0), DBCache(0.0, 1, warmup_steps=0)])
def test_at_threshold_0_the_bits_are_those_without_a_cache(tiny: TinyDiT, policy: Any) -> None:
    with pytest.warns(UserWarning, match="skipped nothing"), cached(tiny.denoiser, policy, evals=12):
        x = tiny.run()
    assert torch.equal(x, tiny.run())


def test_a_second_run_starts_clean(tiny: TinyDiT) -> None:
    with cached(tiny.denoiser, DBCache(0.5, 1, 1, warmup_steps=2, max_cached_steps=6), evals=12):
        assert torch.equal(tiny.run(), tiny.run())


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: FBCache(-0.1), "FBCache's threshold must be a finite number from 0, not -0.1"),
        (lambda: DBCache(float("nan")), "DBCache's threshold must be a finite number from 0, not nan"),
        (lambda: FBCache("1"), "FBCache's threshold must be a finite number from 0, not '1'"),  # type: ignore[arg-type]
        (lambda: DBCache(1, first_blocks=0), "DBCache's first_blocks must be a whole number from 1, not 0"),
        (lambda: DBCache(1, last_blocks=-1), "DBCache's last_blocks must be a whole number from 0, not -1"),
        (
            lambda: DBCache(1, warmup_interval=0),
            "DBCache's warmup_interval must be a whole number from 1, not 0",
        ),
        (
            lambda: DBCache(1, max_cached_steps=-1),
            "DBCache's max_cached_steps must be a whole number from 0, not -1",
        ),
    ],
)
def test_bad_parameters_are_refused(build: Any, message: str) -> None:
    with pytest.raises(ValueError) as error:
        build()
    assert str(error.value) == message


def test_a_model_with_too_few_blocks_is_refused(tiny: TinyDiT) -> None:
    with pytest.raises(ValueError, match="2 first and 1 last blocks cannot be split off the spans"):
        DBCache(0.1, 2, 1).choose_sites(tiny.denoiser)


def test_a_u_net_is_refused() -> None:
    message = "FBCache needs a transformer's stack of blocks, and UNet2DModel is a U-Net"
    with pytest.raises(ValueError, match=message):
        FBCache(0.1).choose_sites(UNETS["UNet2DModel"].build("UNet2DModel"))
