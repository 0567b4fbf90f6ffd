"""The seven rules of the engine, on a small real DiT."""

from collections.abc import Sequence

import pytest
import torch
from diffusers import LTXVideoTransformer3DModel

from baselines.fora import FORA
from baselines.none import NoCache
from smoothbench.caching import (
    Evaluation,
    MacCounter,
    Schedule,
    Taylor,
    Trajectory,
    cached,
    find_sites,
)
from smoothbench.caching.mac_counter import site_costs
from tests.support.tiny_dit import TinyDiT, fora


def test_none_policy_none_are_the_same_bits(tiny: TinyDiT) -> None:
    before = tiny.run()
    with cached(tiny.denoiser, fora(tiny)) as run:
        between = tiny.run()
    assert run.skipped_share > 0.4
    assert not torch.equal(between, before)
    assert torch.equal(tiny.run(), before)
    assert not any("forward" in vars(module) for module in tiny.denoiser.modules())


def test_everything_computed_is_the_same_bits_and_warns(tiny: TinyDiT) -> None:
    full = Schedule.steps(find_sites(tiny.denoiser), [True] * tiny.evals)
    with pytest.warns(UserWarning, match="skipped nothing"), cached(tiny.denoiser, full) as run:
        inside = tiny.run()
    assert run.degenerate and torch.equal(inside, tiny.run())


def test_no_cache_is_meant_to_skip_nothing(tiny: TinyDiT, recwarn: pytest.WarningsRecorder) -> None:
    with cached(tiny.denoiser, NoCache(), evals=tiny.evals):
        tiny.run()
    assert not recwarn.list


def test_a_second_run_starts_clean_and_announced_runs_are_the_same(tiny: TinyDiT) -> None:
    with cached(tiny.denoiser, fora(tiny)) as run:
        first, second, third = tiny.run(), tiny.run(), tiny.run(batch=3)
    assert torch.equal(first, second) and len(third) == 6
    with cached(tiny.denoiser, fora(tiny)) as run:
        announced = tiny.run(before=lambda e, t: run.step(e, coordinate=t))
    assert torch.equal(announced, first)
    assert run.calls == fora(tiny).calls()


def test_an_exception_restores_the_model_and_the_next_run_is_clean(tiny: TinyDiT) -> None:
    def break_at_5(e: int, t: float) -> None:
        if e == 5:
            raise KeyError("in the middle")

    before = tiny.run()
    with pytest.raises(KeyError, match="in the middle"), cached(tiny.denoiser, fora(tiny)):
        tiny.run(before=break_at_5)
    assert torch.equal(tiny.run(), before)


def test_a_forward_that_raised_voids_the_run(tiny: TinyDiT) -> None:
    with cached(tiny.denoiser, fora(tiny)) as run:
        whole = tiny.run()
        with pytest.raises(RuntimeError):
            tiny.denoiser(
                torch.zeros(2, 7, 8, 8), timestep=torch.tensor([999, 999]), class_labels=torch.zeros(2).long()
            )
        assert torch.equal(tiny.run(), whole)
    assert run.forwards == 2 * tiny.evals + 1


def test_separate_guidance_calls_have_their_own_histories(tiny: TinyDiT) -> None:
    x, labels = torch.randn(2, 1, 8, 8), torch.tensor([1, 10])
    timesteps = torch.linspace(999, 0, tiny.evals).long()

    def separate() -> torch.Tensor:
        out = []
        for t in timesteps:
            for row in (0, 1):
                arguments = {"timestep": t[None], "class_labels": labels[row, None]}
                out.append(tiny.denoiser(x[row, None], **arguments).sample)
        return torch.cat(out)

    def fused() -> torch.Tensor:
        return torch.cat(
            [tiny.denoiser(x, timestep=t.expand(2), class_labels=labels).sample for t in timesteps]
        )

    with torch.inference_mode():
        with cached(tiny.denoiser, fora(tiny), calls_per_eval=2):
            two_calls = separate()
        with cached(tiny.denoiser, fora(tiny)):
            one_call = fused()
    torch.testing.assert_close(two_calls, one_call)


@pytest.mark.parametrize("interval", [1, 2, 3])
def test_realised_macs_are_those_of_the_schedule_and_of_torchs_counter(tiny: TinyDiT, interval: int) -> None:
    x, t, y = torch.zeros(2, 1, 8, 8), torch.tensor([9, 9]), torch.zeros(2).long()
    sites, rest = site_costs(
        tiny.denoiser,
        find_sites(tiny.denoiser),
        lambda: tiny.denoiser(x, timestep=t, class_labels=y),
        samples=1,
    )
    trajectory = Trajectory(sites, tuple(range(tiny.evals)), rest.total, rest.linear)
    schedule = FORA(interval).plan(trajectory)
    policy = FORA(interval) if interval > 1 else NoCache()
    math = torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH)
    with cached(tiny.denoiser, policy, evals=tiny.evals) as run, MacCounter() as counter, math:
        tiny.run(batch=1)
    cost = trajectory.cost(run.calls)
    assert cost == trajectory.cost(schedule.calls())
    assert (cost.linear, cost.attention) == (counter.macs().linear, counter.macs().attention)


def test_attention_is_counted_on_the_cpus_own_kernel() -> None:
    q = torch.zeros(2, 3, 10, 8)
    with MacCounter() as counter:
        torch.nn.functional.scaled_dot_product_attention(q, q, q)
    assert (counter.macs().attention, counter.macs().linear) == (2 * 3 * 10 * 10 * 8 * 2, 0)


def test_a_forward_set_by_another_library_survives(tiny: TinyDiT) -> None:
    block = tiny.denoiser.transformer_blocks[0]
    calls = []
    original = block.attn1.forward
    block.attn1.forward = foreign = lambda *args, **kwargs: calls.append(1) or original(*args, **kwargs)
    with cached(tiny.denoiser, fora(tiny)) as run:
        tiny.run()
    assert block.attn1.forward is foreign
    assert len(calls) == run.calls["blocks.0.self_attn"]


class InputChange:
    """Compute where the input changed by more than a threshold since the last computed evaluation."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self.last: torch.Tensor | None = None

    def decide(self, evaluation: Evaluation) -> Sequence[bool]:
        x = evaluation.hidden_states
        fresh = evaluation.e == 0 or self.last is None
        compute = fresh or bool((x - self.last).abs().mean() > self.threshold * self.last.abs().mean())
        self.last = x if compute else self.last
        return [compute] * len(evaluation.sites)


def test_a_dynamic_policy_decides_at_run_time(tiny: TinyDiT) -> None:
    with cached(tiny.denoiser, InputChange(0.3), evals=tiny.evals) as run:
        dynamic = tiny.run()
    bits = [row[0] for row in run.realised]
    assert len(bits) == tiny.evals and bits[0] and 0 < sum(bits) < tiny.evals
    replayed = Schedule.of(find_sites(tiny.denoiser), run.realised)
    with cached(tiny.denoiser, replayed):
        assert torch.equal(tiny.run(), dynamic)


def test_the_cache_is_counted_in_bytes_and_dropped(tiny: TinyDiT) -> None:
    per_output = 4 * 16 * 16 * 4  # rows x tokens x width x bytes
    with cached(tiny.denoiser, fora(tiny)) as run:
        tiny.run()
    assert run.cache_bytes == 6 * per_output
    with cached(tiny.denoiser, fora(tiny), predictor="taylor2") as run:
        tiny.run()
    assert run.cache_bytes == 3 * 6 * per_output


def test_predictors_work_in_timesteps_too(tiny: TinyDiT) -> None:
    outputs = []
    for coordinate in ("index", "timestep"):
        with cached(tiny.denoiser, fora(tiny), predictor=Taylor(1, coordinate)):
            outputs.append(tiny.run())
    torch.testing.assert_close(*outputs, rtol=0.05, atol=0.05)  # the grid is nearly even
    assert not torch.equal(*outputs)


def test_a_decision_of_the_wrong_length_is_refused_and_voids_the_run(tiny: TinyDiT) -> None:
    policy = InputChange(0.3)
    with cached(tiny.denoiser, policy, evals=tiny.evals):
        whole = tiny.run()
        policy.decide = lambda evaluation: [True]
        with pytest.raises(ValueError, match="InputChange decided on 1 of 6 sites"):
            tiny.run()
        del policy.decide
        assert torch.equal(tiny.run(), whole)


def test_a_norm_that_feeds_another_branch_is_not_shortened() -> None:
    """LTX feeds its feed-forward from norm2: skipping the cross-attention must not touch it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        denoiser = LTXVideoTransformer3DModel(
            in_channels=4,
            out_channels=4,
            num_attention_heads=2,
            attention_head_dim=16,
            cross_attention_dim=32,
            num_layers=2,
            caption_channels=16,
        ).eval()
    assert {site.norm for site in find_sites(denoiser)} == {None}


def test_an_edited_template_that_says_none_is_a_policy(tiny: TinyDiT) -> None:
    sites = find_sites(tiny.denoiser)
    with (
        pytest.warns(UserWarning, match="skipped nothing"),
        cached(tiny.denoiser, Schedule.steps(sites, [True] * 12, {"method": "other"})),
    ):
        tiny.run()
