"""Schedules with weights: their file holds all that a run needs, and is refused where they were made for another."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiTPipeline
from torch import Tensor

from baselines.fora import FORA
from smoothbench.caching import (
    Reuse,
    Schedule,
    Site,
    Taylor,
    Trajectory,
    Warmup,
    WeightedSum,
    cached,
    find_sites,
    saved_sites,
)
from smoothbench.caching.fingerprint import fingerprint
from smoothbench.caching.predictor import History
from tests.support.tiny_pipelines import tiny_dit_pipeline

STEPS = 6
SITES = tuple(Site(f"blocks.{b}.{k}", k, "") for b in range(2) for k in ("self_attn", "ff"))
BITS = [True, True, False, True, False, False]
ROWS = [[], [], [1.5, -0.5], [], [0.75, 0.125], [2.0, -1.0]]
TIMESTEPS = [990.0, 700.0, 500.0, 300.0, 100.0, 0.0]


def schedule(table: Mapping[str, Any] | None = None, meta: Mapping[str, Any] | None = None) -> Schedule:
    weights = WeightedSum(table or {"*": ROWS}, TIMESTEPS)
    return replace(Schedule.steps(SITES, BITS, meta), weights=weights)


@pytest.fixture(scope="module")
def pipe() -> DiTPipeline:
    return tiny_dit_pipeline()


def sample(pipe: DiTPipeline) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    images = pipe(
        class_labels=[1, 2], num_inference_steps=STEPS, generator=generator, output_type="np"
    ).images
    return torch.as_tensor(images)


@pytest.mark.parametrize("predictor", ["taylor1", "taylor2", "fitted", "timesteps"])
@pytest.mark.parametrize("level", ["branch", "span", "denoiser"])
def test_the_file_alone_gives_the_samples_of_schedule_and_predictor(
    pipe: DiTPipeline, tmp_path: Path, level: str, predictor: str
) -> None:
    sites = find_sites(pipe.transformer, level)
    of_site = {site.name: [[w + 0.01 * i for w in row] for row in ROWS] for i, site in enumerate(sites)}
    given: Any = {"fitted": WeightedSum(of_site), "timesteps": Taylor(1, "timestep")}.get(
        predictor, predictor
    )
    meta = {"coordinates": [830.0, 664.0, 498.0, 332.0, 166.0, 0.0]} if predictor == "timesteps" else {}
    plan = Schedule.steps(sites, BITS, meta)
    with cached(pipe.transformer, plan, predictor=given):
        expected = sample(pipe)
    plan.with_predictor(given).save(tmp_path / "schedule.json")
    loaded = Schedule.load(
        tmp_path / "schedule.json", saved_sites(tmp_path / "schedule.json", pipe.transformer)
    )
    with cached(pipe.transformer, loaded) as run:
        samples = sample(pipe)
    assert torch.equal(samples, expected)
    assert run.calls == plan.calls() and run.skipped_share == 0.5
    with cached(pipe.transformer, loaded, predictor="reuse"):
        assert not torch.equal(sample(pipe), expected)


def test_a_schedule_without_weights_has_the_file_that_it_always_had() -> None:
    plan = Schedule.steps(SITES, BITS, {"method": "hand-made"})
    assert plan.with_predictor("reuse") == plan.with_predictor(Reuse()) == plan
    assert plan.to_json() == {
        "_meta": {"method": "hand-made"},
        "attn": [int(bit) for bit in BITS],
        "mlp": [int(bit) for bit in BITS],
    }


def test_json_both_ways() -> None:
    data = json.loads(json.dumps(schedule().to_json()))
    assert data["_weights"] == {
        "form": "weighted_sum",
        "version": 1,
        "timesteps": TIMESTEPS,
        "table": {"*": ROWS},
    }
    assert Schedule.from_json(data, SITES) == schedule()


def test_sites_with_other_bits_have_weights_of_their_own() -> None:
    bits = [[1] * 4, [1, 0, 1, 0], [0, 1, 0, 1], [0] * 4]
    weights = Schedule.of(SITES, bits).with_predictor("taylor1").weights
    assert isinstance(weights, WeightedSum)
    assert weights.table["blocks.0.self_attn"] == [[], [], [2.0, -1.0], [3.0, -2.0]]
    assert weights.table["blocks.0.ff"] == [[], [1.0], [], [1.5, -0.5]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ([], "'_weights' must be an object"),
        (
            {"form": "spline"},
            "its weights are 'spline' of version 1, and weighted_sum 1, input_weights 1 can be read",
        ),
        ({"form": ["weighted_sum"]}, "its weights are \\['weighted_sum'\\] of version 1"),
        ({"version": 2}, "its weights are 'weighted_sum' of version 2"),
        (
            {"table": [ROWS]},
            "the table of its weights must map sites to a list of numbers for each evaluation",
        ),
        ({"table": {"*": [[True]] * 6}}, "the table of its weights must map"),
        ({"table": {"*": [[float("nan")]] * 6}}, "the table of its weights must map"),
        ({"table": {"*": [[10**400]] * 6}}, "the table of its weights must map"),
        ({"table": {}}, "weights are lists of equally many evaluations"),
        ({"timesteps": "990"}, "the timesteps of its weights must be a list of finite numbers"),
        ({"timesteps": TIMESTEPS[:5]}, "weights of 6 evaluations with 5 timesteps"),
        (
            {"table": {"*": ROWS[:5]}, "timesteps": None},
            "the weights are for 5 evaluations, but the run has 6",
        ),
        (
            {"table": {"blocks.7.ff": ROWS}},
            "the weights are for site blocks.7.ff, but the run has blocks.0.self_attn",
        ),
        ({"table": {"blocks.0.ff": ROWS}}, "none are for site blocks.0.self_attn"),
        (
            {"table": {"*": [*ROWS[:4], [], [1.0]]}},
            "it skips blocks.0.self_attn at evaluation 4, for which its weights have none",
        ),
    ],
)
def test_weights_for_something_else_are_refused_in_one_line(
    tmp_path: Path, change: Any, message: str
) -> None:
    data = schedule().to_json()
    data["_weights"] = data["_weights"] | change if isinstance(change, dict) else change
    path = tmp_path / "schedule.json"
    path.write_text(json.dumps(data))
    with pytest.raises(ValueError, match=f"^schedule {path}: .*{message}") as caught:
        Schedule.load(path, SITES)
    assert "\n" not in str(caught.value)


def test_weights_that_lack_some_are_not_written(tmp_path: Path) -> None:
    lacking = WeightedSum({"*": [*ROWS[:4], [], [1.0]]}, TIMESTEPS)
    with pytest.raises(ValueError, match=r"it skips .* at evaluation 4, for which its weights have none"):
        replace(schedule(), weights=None).with_predictor(lacking)
    path = tmp_path / "schedule.json"
    schedule().save(path)
    with pytest.raises(ValueError, match="names is"):
        schedule().save(path, names="other")
    assert Schedule.load(path, SITES).computed == schedule().computed and list(tmp_path.iterdir()) == [path]


def test_weights_and_schedule_for_different_timesteps_are_refused() -> None:
    data = schedule(meta={"coordinates": [t / 2 for t in TIMESTEPS]}).to_json()
    message = "fitted to timesteps 990 to 0 in 6 .* planned for 495 to 0 in 6"
    with pytest.raises(ValueError, match=message):
        Schedule.from_json(data, SITES)


def test_another_number_of_steps_and_other_timesteps_are_refused(pipe: DiTPipeline) -> None:
    sites = find_sites(pipe.transformer)
    longer = Schedule.steps(sites, [True, *[False] * STEPS]).with_predictor(WeightedSum({"*": [[1.0]] * 7}))
    message = "the run ended in evaluation 6, but the schedule has 7"
    with pytest.raises(ValueError, match=message), cached(pipe.transformer, longer):
        sample(pipe)
    weights = WeightedSum({"*": [[1.0]] * 6}, [9e3, 5e3, 4e3, 3e3, 2e3, 1e3])
    other = Schedule.steps(sites, BITS).with_predictor(weights)
    message = "planned for timesteps 9000 to 1000 .* but the run is at 830"
    with pytest.raises(ValueError, match=message), cached(pipe.transformer, other):
        sample(pipe)


def test_weights_of_another_denoiser_are_refused_and_may_be_left_out(pipe: DiTPipeline) -> None:
    meta = {"denoiser": fingerprint(pipe.transformer).replace("(", "(0")}
    plan = Schedule.steps(find_sites(pipe.transformer), BITS, meta).with_predictor("taylor1")
    message = "planned on a DiT.*and this is a DiT.*its weights do not fit"
    with pytest.raises(ValueError, match=message), cached(pipe.transformer, plan):
        pytest.fail("the context was entered")
    with (
        pytest.warns(UserWarning, match="calibrate again"),
        cached(pipe.transformer, plan, predictor="reuse"),
    ):
        sample(pipe)


def test_a_composed_method_does_not_change_a_schedule_with_weights() -> None:
    @dataclass
    class Saved:
        needs_curves = False

        def plan(self, trajectory: Trajectory, curves: Any = None) -> Schedule:
            return schedule()

    with pytest.raises(ValueError, match="Warmup computes more than the schedule whose weights it was given"):
        Warmup(Saved(), 2).plan(Trajectory(SITES, tuple(TIMESTEPS)))
    assert Warmup(FORA(2), 2).plan(Trajectory(SITES, tuple(TIMESTEPS))).weights is None


def test_a_predictor_without_weights_cannot_be_saved() -> None:
    class Mean:
        depth, coordinate = 2, "index"

        def __call__(self, history: History, now: float) -> Tensor:
            return history[0][1]

    plan = Schedule.steps(SITES, BITS)
    with pytest.raises(ValueError, match="Mean has no weights that a schedule's file could hold"):
        plan.with_predictor(Mean())
    with pytest.raises(ValueError, match="Taylor works in timesteps, which the schedule does not know"):
        plan.with_predictor(Taylor(1, "timestep"))
    with pytest.raises(ValueError, match="the schedule has 6 evaluations, but its weights are for 2"):
        plan.with_predictor(WeightedSum({"*": [[1.0], [1.0]]}))
