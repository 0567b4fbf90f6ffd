"""Seeds of samples, of calibration and of training: no model's prompts are both calibrated and evaluated on."""

from typing import Any

import pytest

from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build_model
from smoothbench.errors import UsageError
from smoothbench.planning.plan import check_seed_blocks
from tests.support.compose import composed
from tests.support.latent_dits import CPU

NANO = ("model=stable_audio_nano", "metrics=[audio/mrstft,audio/mel_l1]")


@pytest.fixture(scope="module")
def nano() -> Any:
    return build_model(settings(composed(*NANO)).model, CPU)


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["seed=900", "calibration.seed=901"], "seed=900: stable_audio_nano keeps prompts .*a block below"),
        (["calibration.seed=5"], "calibration.seed=5: .*a block from there on"),
        (["training.seed=899"], "training.seed=899: .*a block from there on"),
    ],
)
def test_seed_blocks_that_take_the_others_prompts(nano: Any, overrides: list[str], says: str) -> None:
    with pytest.raises(UsageError, match=f"^{says}"):
        check_seed_blocks(settings(composed(*NANO, *overrides)), nano)
    plan = settings(composed(*overrides))  # images have no prompts
    check_seed_blocks(plan, build_model(plan.model, CPU))
