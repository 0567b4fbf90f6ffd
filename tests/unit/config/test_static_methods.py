"""Which methods decide before the run: for them a batch size means nothing where no samples are drawn."""

import pytest

from baselines.fora import FORA
from smoothbench.errors import UsageError
from tests.support.compose import checked


class Undecided(FORA):
    """A static method that says that it has no `decide`, as Python's protocols allow."""

    decide = None


def test_a_method_whose_decide_is_none_decides_before_the_run() -> None:
    target = f"cache.policy._target_={__name__}.Undecided"
    with pytest.raises(UsageError, match=r"stage=latency draws no samples; see latency\.batch_size$"):
        checked("metrics=[psnr]", "cache=fora", "stage=latency", target, "batch_size=3")
