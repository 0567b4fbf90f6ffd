"""What the engine refuses, before anything is computed."""

import pytest
import torch

from baselines.fora import FORA
from smoothbench.caching import Fitted, Schedule, SmoothCache, Trajectory, cached, calibrate, find_sites
from tests.support.tiny_dit import TinyDiT, fora


def test_a_run_cut_short_raises_at_the_next_start_and_on_exit(tiny: TinyDiT) -> None:
    message = "ended in evaluation 5, but the schedule has 12"
    with pytest.raises(ValueError, match=message), cached(tiny.denoiser, fora(tiny)):
        tiny.run(evals=5)
    with pytest.raises(ValueError, match=message), cached(tiny.denoiser, fora(tiny)):
        tiny.run(evals=5)
        tiny.run()


def test_a_forward_past_the_schedule_raises(tiny: TinyDiT) -> None:
    short = FORA(2).plan(Trajectory(find_sites(tiny.denoiser), tuple(range(8))))
    with (
        pytest.raises(ValueError, match="forward 9 of a run, but the schedule has 8"),
        cached(tiny.denoiser, short),
    ):
        tiny.run()


def test_another_batch_inside_a_run_raises(tiny: TinyDiT) -> None:
    with (
        pytest.raises(ValueError, match=r"from \[4, 1, 8, 8\] to \[6, 1, 8, 8\]"),
        cached(tiny.denoiser, fora(tiny)),
    ):
        tiny.run(evals=4)
        late = torch.full((6,), 500)
        tiny.denoiser(torch.zeros(6, 1, 8, 8), timestep=late, class_labels=torch.zeros(6).long())


def test_contexts_do_not_nest(tiny: TinyDiT) -> None:
    with (
        pytest.raises(RuntimeError, match="already inside"),
        cached(tiny.denoiser, fora(tiny)),
        cached(tiny.denoiser, fora(tiny)),
    ):
        pass
    assert not any("forward" in vars(module) for module in tiny.denoiser.modules())


def test_schedules_that_do_not_fit_are_refused(tiny: TinyDiT) -> None:
    with (
        pytest.raises(ValueError, match="has 12 evaluations, but the run has 50"),
        cached(tiny.denoiser, fora(tiny), evals=50),
    ):
        pass
    foreign = Schedule(("blocks.9.self_attn",), ("self_attn",), ((True,), (False,)))
    with pytest.raises(ValueError, match=r"names site blocks\.9\.self_attn"), cached(tiny.denoiser, foreign):
        pass
    with (
        pytest.raises(ValueError, match="SmoothCache needs error curves"),
        cached(tiny.denoiser, SmoothCache(alpha=0.1), evals=12),
    ):
        pass
    with (
        pytest.raises(ValueError, match="must know the number of evaluations"),
        cached(tiny.denoiser, FORA(2)),
    ):
        pass


def test_a_method_that_plans_on_a_batch_is_no_schedule(tiny: TinyDiT) -> None:
    message = r"Fitted plans on a calibration batch: pass the schedule that its plan_on\(\) gives"
    with pytest.raises(ValueError, match=message), cached(tiny.denoiser, Fitted(4), evals=12):
        pass


def test_announcements_must_be_in_order(tiny: TinyDiT) -> None:
    with (
        pytest.raises(ValueError, match="evaluation 2 was announced after evaluation 0"),
        cached(tiny.denoiser, fora(tiny)) as run,
    ):
        tiny.run(before=lambda e, t: run.step(2 * e))
    with pytest.raises(ValueError, match="announce every forward"), cached(tiny.denoiser, fora(tiny)) as run:
        tiny.run(before=lambda e, t: run.step(e) if e == 0 else None)


def test_a_branch_whose_output_has_no_tensor_is_refused(tiny: TinyDiT) -> None:
    tiny.denoiser.transformer_blocks[1].attn1.forward = lambda *args, **kwargs: {"nothing": None}
    with (
        pytest.raises(ValueError, match=r"blocks\.1\.self_attn returns a dict without tensors"),
        cached(tiny.denoiser, fora(tiny)),
    ):
        tiny.run()
    with pytest.raises(ValueError, match=r"blocks\.1\.self_attn returns a dict without tensors"):
        calibrate(tiny.denoiser, tiny.run)


def test_forwards_are_those_of_the_first_evaluation(tiny: TinyDiT) -> None:
    x, y = torch.randn(1, 1, 8, 8), torch.tensor([1])

    def forward(e: int, name: str) -> None:
        run.step(e, forward_index=name)
        tiny.denoiser(x, timestep=torch.tensor([900 - e]), class_labels=y)

    with (
        pytest.raises(ValueError, match="'uncond' was announced first at evaluation 1"),
        cached(tiny.denoiser, fora(tiny)) as run,
    ):
        forward(0, "cond")
        forward(1, "uncond")
    with (
        pytest.raises(ValueError, match="evaluation 1 lacks a forward"),
        cached(tiny.denoiser, fora(tiny)) as run,
    ):
        forward(0, "cond")
        forward(0, "uncond")
        forward(1, "cond")
        forward(2, "cond")


def test_two_forwards_at_the_first_timestep_are_no_two_evaluations(tiny: TinyDiT) -> None:
    """Guidance in two calls without calls_per_eval=2 must not pair cond with uncond."""
    t = torch.tensor([999])
    with (
        pytest.raises(ValueError, match="how many forwards an evaluation has"),
        cached(tiny.denoiser, fora(tiny)),
    ):
        for label in (1, 10):
            tiny.denoiser(torch.zeros(1, 1, 8, 8), timestep=t, class_labels=torch.tensor([label]))
