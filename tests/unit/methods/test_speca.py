"""SpeCa forecasts, checks and computes as its rule, written out in float64."""

from typing import Any

import pytest
import torch

from baselines.speca import SpeCa
from smoothbench.caching import cached
from tests.oracles.block_by_block import EVALS, BlockByBlock, plain, sampled
from tests.oracles.speca import SpeCaOracle
from tests.support.tiny_denoisers.unets import UNETS
from tests.support.tiny_dit import TinyDiT

CASES: list[tuple[dict[str, Any], int]] = [
    ({"threshold": 0.3}, 1),
    ({"threshold": 30.0, "min_forecasts": 1}, 2),
    ({"threshold": 100.0, "min_forecasts": 0, "max_forecasts": 5}, 1),
    ({"threshold": 5.0, "decay": 0.5, "min_forecasts": 0, "warmup_steps": 1}, 1),
]


@pytest.mark.parametrize(("settings", "forwards"), CASES)
def test_decisions_and_samples_are_those_of_the_rule(
    tiny: TinyDiT, settings: dict[str, Any], forwards: int
) -> None:
    model = BlockByBlock(tiny.denoiser)
    rule = {key.removesuffix("_steps"): value for key, value in settings.items()}
    oracles = [SpeCaOracle(model, **rule) for _ in range(forwards)]
    expected = sampled(oracles)
    with cached(
        tiny.denoiser, SpeCa(**settings), predictor="taylor2", evals=EVALS, calls_per_eval=forwards
    ) as run:
        x = sampled([plain(tiny.denoiser)] * forwards, torch.float32)
    full, checked = (sum(len(getattr(o, what)) for o in oracles) for what in ("computed", "checked"))
    assert full < EVALS * forwards and checked
    assert [e for e, bits in enumerate(run.realised) if bits[0]] == oracles[0].computed
    assert [e for e, bits in enumerate(run.realised) if bits[1] and not bits[0]] == oracles[0].checked
    assert list(run.calls.values()) == [full, full + checked]  # what a check costs is counted
    assert (x - expected).abs().max() < 1e-3 * expected.abs().max()
    assert min(abs(margin - 1) for o in oracles for margin in o.margins) > 1e-3  # none hangs on rounding


def test_without_forecasts_the_bits_are_those_without_a_cache(tiny: TinyDiT) -> None:
    with (
        pytest.warns(UserWarning, match="skipped nothing"),
        cached(tiny.denoiser, SpeCa(max_forecasts=0), evals=12),
    ):
        x = tiny.run()
    assert torch.equal(x, tiny.run())


def test_a_second_run_starts_clean(tiny: TinyDiT) -> None:
    with cached(tiny.denoiser, SpeCa(min_forecasts=1), predictor="taylor1", evals=12):
        assert torch.equal(tiny.run(), tiny.run())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"threshold": -1}, "SpeCa's threshold must be a finite number from 0, not -1"),
        ({"decay": 0}, "SpeCa's decay must be above 0 and at most 1, not 0"),
        ({"decay": 1.5}, "SpeCa's decay must be above 0 and at most 1, not 1.5"),
        ({"floor": float("nan")}, "SpeCa's floor must be a finite number from 0, not nan"),
        ({"max_forecasts": 2.5}, "SpeCa's max_forecasts must be a whole number from 0, not 2.5"),
    ],
)
def test_bad_parameters_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as error:
        SpeCa(**settings)
    assert str(error.value) == message


def test_a_u_net_is_refused() -> None:
    unet = UNETS["UNet2DModel"].build("UNet2DModel")
    with pytest.raises(ValueError, match="SpeCa needs a transformer's stack of blocks, and UNet2DModel is a"):
        SpeCa().choose_sites(unet)


def test_the_number_of_evaluations_must_be_known(tiny: TinyDiT) -> None:
    with (
        pytest.raises(
            ValueError, match=r"SpeCa must know the number of evaluations: cached\(..., evals=...\)"
        ),
        cached(tiny.denoiser, SpeCa(min_forecasts=0)),
    ):
        tiny.run()
