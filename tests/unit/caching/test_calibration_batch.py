"""Planners that record the uncached run or roll out candidate schedules, and predictors that are fitted to it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from smoothbench.caching import CalibrationBatch, Probe, Schedule, Trajectory, cached, find_sites, last_stream
from smoothbench.caching.mac_counter import MacCounter, site_costs
from smoothbench.caching.probe_costs import probe_costs
from tests.support.small_policies import FirstInput, LargestChanges, LeastDamage, LeastSquares
from tests.support.tiny_denoisers import TINY
from tests.support.tiny_dit import TinyDiT, fora


def trajectory(tiny: TinyDiT, level: str = "branch") -> Trajectory:
    sites, rest = site_costs(
        tiny.denoiser, find_sites(tiny.denoiser, level), lambda: tiny.run(evals=1, batch=1), samples=1
    )
    return Trajectory(sites, tuple(map(float, range(12))), rest.total, rest.linear)


def sampling(tiny: TinyDiT, batches: int = 1) -> Callable[[Any], Tensor]:
    """Samples two samples, in one batch or in as many as there are samples; the conditional rows alone are final."""

    def sample(announcer: Any) -> Tensor:
        x = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(5))
        parts = []
        for rows in x.split(2 // batches):
            count = len(rows)
            rows, labels = rows.repeat(2, 1, 1, 1), torch.tensor([3] * count + [10] * count)
            for e, t in enumerate(torch.linspace(999, 0, 12).long()):
                announcer.step(e, float(t))
                rows = (
                    rows - 0.2 * tiny.denoiser(rows, timestep=t.expand(len(rows)), class_labels=labels).sample
                )
            parts.append(rows[:count])
        return torch.cat(parts)

    return sample


def batch_of(
    tiny: TinyDiT, level: str = "branch", batches: int = 1, predictor: Any = "reuse"
) -> CalibrationBatch:
    return CalibrationBatch(
        tiny.denoiser, sampling(tiny, batches), trajectory(tiny, level), predictor, rows_per_sample=2
    )


def test_a_recording_is_what_hooks_see(tiny: TinyDiT) -> None:
    seen: dict[str, list[Tensor]] = {"attn": [], "norm": [], "model": [], "stream": []}
    block = tiny.denoiser.transformer_blocks[1]

    def note(name: str, value: Any) -> None:
        seen[name].append(value.clone())

    hooks = [
        block.attn1.register_forward_hook(lambda m, a, output: note("attn", output)),
        block.attn1.register_forward_pre_hook(lambda m, a: note("norm", a[0])),
        tiny.denoiser.register_forward_pre_hook(lambda m, a: note("model", a[0])),
        block.register_forward_pre_hook(
            lambda m, a, k: note("stream", a[0] if a else k["hidden_states"]), with_kwargs=True
        ),
    ]
    bare = sampling(tiny)(type("Silent", (), {"step": lambda *_: None})())
    for hook in hooks:
        hook.remove()
    probes = {
        "attn": Probe("blocks.1.self_attn"),
        "norm": Probe("blocks.1.self_attn", "input"),
        "model": Probe("denoiser", "input"),
        "stream": Probe("blocks.1-2.span", "input"),
    }
    batch = batch_of(tiny)
    recording = batch.record([*probes.values(), Probe("denoiser"), Probe("blocks.1-2.span")])
    assert torch.equal(batch.uncached, bare) and batch.spent.runs == 1
    for name, probe in probes.items():
        expected = torch.stack(seen[name])  # [e, rows, ...]: rows r and r + 2 are one sample's
        expected = torch.stack([expected[:, :2], expected[:, 2:]], 2)
        assert torch.equal(recording.tensor(probe), expected)
    assert recording.tensor(Probe("denoiser")).shape == (12, 2, 2, 1, 8, 8)
    assert recording.tensor(Probe("blocks.1-2.span")).shape == (12, 2, 2, 16, 16)
    flat = recording.tensor(probes["attn"]).flatten(2).double()
    torch.testing.assert_close(recording.gram(probes["attn"])[1], flat[:, 1] @ flat[:, 1].T)
    assert recording.coordinates[0] == 999.0 and len(recording.coordinates) == 12
    batch.record(list(probes.values()))
    assert batch.spent.runs == 1  # nothing is recorded twice


@pytest.mark.parametrize("level", ["branch", "span", "denoiser"])
def test_plans_do_not_depend_on_how_the_batch_is_cut(tiny: TinyDiT, level: str) -> None:
    for planner in (LargestChanges(4), LeastDamage(5)):
        plans = []
        for batches in (1, 2):
            batch = batch_of(tiny, level, batches)
            plans.append(planner.plan_on(batch.trajectory, batch))
        assert plans[0] == plans[1] and 0 < plans[0].skipped_share < 1
        with cached(tiny.denoiser, plans[0]) as run:
            tiny.run()
        assert run.calls == plans[0].calls()


def test_rollouts_are_counted_as_they_cost(tiny: TinyDiT) -> None:
    batch = batch_of(tiny, "span")
    with MacCounter() as counter:
        LeastDamage(5).plan_on(batch.trajectory, batch)
    spent = batch.spent
    assert (spent.runs, spent.rollouts, spent.evaluations) == (12, 11, 12 * 12 * 2)
    assert spent.macs == counter.macs().total


@pytest.mark.parametrize("batches", [1, 2])
def test_the_share_of_a_method_that_decides_in_the_run_is_what_torch_counts(
    tiny: TinyDiT, batches: int
) -> None:
    """What runs in vain up to a probe is a part of it; of a batch in parts it is that of all of them."""
    method, on = FirstInput(0.5, "span"), trajectory(tiny, "span")
    probes = method.choose_probes(tiny.denoiser)
    near = probe_costs(tiny.denoiser, on.sites, probes, lambda: tiny.run(evals=1, batch=1), samples=1)
    on = replace(on, approaches=near)
    batch = CalibrationBatch(tiny.denoiser, sampling(tiny, batches), on, rows_per_sample=2)
    with MacCounter() as everything:
        batch.record([])
    with MacCounter() as counter:
        share = batch.share(method)
    assert share == pytest.approx(counter.macs().total / everything.macs().total, rel=1e-9) and share < 0.9
    assert batch.spent.macs == everything.macs().total + counter.macs().total


def test_a_rollout_is_the_cached_run(tiny: TinyDiT) -> None:
    batch, schedule = batch_of(tiny), fora(tiny)
    with cached(tiny.denoiser, schedule, predictor="taylor1") as run:
        expected = sampling(tiny)(run)
    assert torch.equal(batch.rollout(schedule, "taylor1"), expected)
    assert torch.equal(batch_of(tiny, predictor="taylor1").rollout(schedule), expected)
    assert not torch.equal(batch.rollout(schedule), expected)
    assert torch.equal(batch.rollout(Schedule.steps(batch.trajectory.sites, [True] * 12)), batch.uncached)


def test_a_predictor_is_fitted_to_the_recorded_run(tiny: TinyDiT) -> None:
    """With as many kept outputs as Taylor's order 1, the fit is nearer on what it was fitted to, site by site."""
    batch, schedule = batch_of(tiny), fora(tiny)
    weights = LeastSquares(2, 0.0).fit(schedule, batch)
    recording = batch.record([Probe(site) for site in schedule.sites])
    for site in schedule.sites:
        values = recording.tensor(Probe(site)).double()
        for e, row in enumerate(weights.table[site]):
            if not row:
                assert schedule.computed[e][0]
                continue
            kept = [k for k in range(e - 1, -1, -1) if schedule.computed[k][0]][:2]
            fitted = values[e] - sum(w * values[k] for w, k in zip(row, kept, strict=True))
            reused = values[e] - values[kept[0]]
            assert fitted.norm() <= reused.norm() * (1 + 1e-9)
    planned = batch_of(tiny, predictor=LeastSquares(2))
    fitted_by_batch = planned.rollout(schedule)
    with cached(tiny.denoiser, schedule, predictor=LeastSquares(2).fit(schedule, planned)) as run:
        assert torch.equal(sampling(tiny)(run), fitted_by_batch)
    with (
        pytest.raises(
            ValueError, match=r"LeastSquares is not fitted: pass what fit\(schedule, batch\) gives"
        ),
        cached(tiny.denoiser, schedule, predictor=LeastSquares(2)),
    ):
        tiny.run()


def test_what_cannot_be_recorded_is_refused(tiny: TinyDiT) -> None:
    batch = batch_of(tiny)
    with pytest.raises(ValueError, match=r"probe on the output of blocks\.9\.ff: .* has no such site"):
        batch.record([Probe("blocks.9.ff")])
    idle = CalibrationBatch(tiny.denoiser, lambda announcer: torch.zeros(1), batch.trajectory)
    with pytest.raises(ValueError, match="nothing was recorded"):
        idle.record([])
    odd = CalibrationBatch(tiny.denoiser, sampling(tiny), batch.trajectory, rows_per_sample=3)
    with pytest.raises(ValueError, match="a batch of 4 rows is no multiple of 3 rows a sample"):
        odd.record([])
    block: nn.Module = tiny.denoiser.transformer_blocks[0]
    assert "forward" not in vars(block)


def test_recordings_take_no_more_room_than_there_is(tiny: TinyDiT) -> None:
    size, spans = 12 * 4 * 16 * 16 * 4, [Probe("blocks.0-0.span"), Probe("blocks.1-2.span")]
    roomy = CalibrationBatch(
        tiny.denoiser, sampling(tiny), trajectory(tiny), rows_per_sample=2, room=2 * size - 1
    )
    with pytest.raises(
        ValueError, match=r"recording 2 probes takes more than .* GB, by evaluation 11: record fewer"
    ):
        roomy.record(spans)
    roomy.record(spans[:1])
    with pytest.raises(ValueError, match="recording 1 probes takes more"):
        roomy.record(spans[1:])
    roomy.forget()
    assert roomy.record(spans[1:]).tensor(spans[1]).nbytes == size


def test_guidance_in_two_forwards_is_recorded_as_rows(tiny: TinyDiT) -> None:
    def sample(announcer: Any) -> Tensor:
        x = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(5))
        for e, t in enumerate(torch.linspace(999, 0, 12).long()):
            outputs = []
            for forward_index, label in enumerate((3, 10)):
                announcer.step(e, float(t), forward_index)
                labels = torch.full((2,), label)
                outputs.append(tiny.denoiser(x, timestep=t.expand(2), class_labels=labels).sample)
            x = x - 0.1 * (outputs[0] + outputs[1])
        return x

    batch = CalibrationBatch(tiny.denoiser, sample, trajectory(tiny, "span"))
    recording = batch.record([Probe("blocks.0-2.span")])
    assert recording.tensor(Probe("blocks.0-2.span")).shape == (12, 2, 2, 16, 16)
    plan = LeastDamage(4).plan_on(batch.trajectory, batch)
    assert plan.calls() == {"blocks.0-2.span": 8}


def test_prompts_of_several_lengths_are_recorded_together() -> None:
    """Each run has a prompt of its own length; of two streams the text's is padded with zeros before it."""
    name, probe = "QwenImageTransformer2DModel", Probe("blocks.0-2.span")
    denoiser, levels = TINY[name].build(name), (1.0, 0.6, 0.3)
    (span,) = find_sites(denoiser, "span")
    grid = Trajectory((span,), levels)

    def sampled(*lengths: int) -> CalibrationBatch:
        def sample(announcer: Any) -> Tensor:
            for length in lengths:
                for e, level in enumerate(levels):
                    given = TINY[name].at(level)
                    text, mask = given["encoder_hidden_states"], given["encoder_hidden_states_mask"]
                    given |= {
                        "encoder_hidden_states": text[:, :length],
                        "encoder_hidden_states_mask": mask[:, :length],
                    }
                    announcer.step(e, level)
                    denoiser(**given)
            return torch.zeros(2 * len(lengths), 1)

        return CalibrationBatch(denoiser, sample, grid)

    together, alone = sampled(6, 3).record([probe]), [sampled(length).record([probe]) for length in (6, 3)]
    torch.testing.assert_close(together.gram(probe), torch.cat([one.gram(probe) for one in alone]))
    padded, short = together.tensor(probe, 1)[:, 2:], alone[1].tensor(probe, 1)
    assert padded.shape[3] == 6 and not padded[:, :, :, :3].any()
    assert torch.equal(padded[:, :, :, 3:], short)
    assert last_stream(sampled(6, 3)).shape[:4] == (len(levels), 4, 1, 16)  # the picture's tokens
