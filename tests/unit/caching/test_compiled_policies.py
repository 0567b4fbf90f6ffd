"""Compiled runs of policies that decide at run time: one graph a row; and what no graph can follow."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch._dynamo.testing import CompileCounter

from smoothbench.caching import Evaluation, Schedule, WeightedSum, cached, find_sites
from smoothbench.caching.compiled import Compiled
from tests.support.small_policies import FirstInput
from tests.support.tiny_dit import build_tiny

pytestmark = pytest.mark.slow  # torch traces graphs


class EveryThird:
    """Decide at run time: compute all at every third evaluation, else reuse feed-forwards."""

    def decide(self, evaluation: Evaluation) -> Sequence[bool]:
        return [evaluation.e % 3 == 0 or site.kind != "ff" for site in evaluation.sites]


def test_a_policy_that_decides_before_a_forward_needs_a_graph_for_each_row() -> None:
    tiny, counter = build_tiny(), CompileCounter()
    blocks: Any = tiny.denoiser.transformer_blocks
    del blocks[1:]
    with cached(tiny.denoiser, EveryThird()) as run:
        expected = tiny.run()
    assert run.skipped_share > 0
    # in inference mode from the start: torch compiles apart what was made outside
    with Compiled(tiny.denoiser, counter).following(EveryThird()), torch.inference_mode():
        output = tiny.run()
    assert torch.allclose(output, expected, atol=1e-4, rtol=0)
    assert counter.frame_count == 2


def test_what_looks_inside_a_forward_or_decides_on_spans_is_refused() -> None:
    graphs = Compiled(build_tiny().denoiser, CompileCounter())
    for policy, why in ((FirstInput(0.1, "branch"), "looks inside"), (FirstInput(0.1), "no branches")):
        with pytest.raises(ValueError, match=why), graphs.following(policy):
            pass


@pytest.mark.parametrize("by", ["schedule", "weights"])
def test_a_plan_for_other_timesteps_is_refused_before_anything_is_compiled(by: str) -> None:
    tiny, counter = build_tiny(), CompileCounter()
    quadratic = [999 * (1 - e / 12) ** 2 for e in range(12)]
    meta = {"coordinates": quadratic} if by == "schedule" else {}
    schedule = Schedule.steps(find_sites(tiny.denoiser), [e % 2 == 0 for e in range(12)], meta)
    predictor: Any = WeightedSum({"*": [[1.0]] * 12}, quadratic) if by == "weights" else "reuse"
    with (
        pytest.raises(ValueError, match="planned for timesteps 999 to"),
        Compiled(tiny.denoiser, counter).following(schedule, predictor=predictor) as clock,
    ):
        tiny.run(before=lambda e, t: clock.announce(e, 0.5 * t, 0))
    assert counter.frame_count == 0
