"""The studies of Fitted: other fits and plans do what they say, and tables are printed."""

import sys
from typing import Any

import pytest
import torch

from smoothbench.caching import Schedule, WeightedSum
from smoothbench.caching.reference_run import UNCACHED
from smoothbench.report.studies.fitted import finer_grid, fresh_noise, levels, other_fits, variants
from smoothbench.report.studies.fitted.bench import Bench, calibration_seeds, print_table, written
from smoothbench.report.studies.fitted.site_fit import site_weights
from tests.support.guided_loop import GuidedLoop
from tests.support.tiny_batch import full_evaluations

EVALS, FULL = 8, (0, 3, 5)


def plan(loop: GuidedLoop) -> Schedule:
    return Schedule.steps(loop.batch().trajectory.sites, [e in FULL for e in range(loop.evals)])


def fitted(kind: Any, **settings: Any) -> tuple[list[list[float]], list[list[float]]]:
    loop = GuidedLoop(EVALS)
    weights = other_fits.fitted_by(kind, plan(loop), loop.batch(), UNCACHED, **settings)
    return [list(row) for row in weights.table["denoiser"]], [list(row) for row in weights.inputs["denoiser"]]


def test_fits_differ_where_they_say() -> None:
    outputs, states = fitted(other_fits.StateFit)
    assert fitted(other_fits.WithoutState)[1] == [[]] * EVALS
    repeated, none = fitted(other_fits.RepeatsTheLast)
    assert repeated[:6] == outputs[:6] and repeated[6:] == [[1, 0, 0]] * 2 and none[6:] == [[0]] * 2
    summed, none = fitted(other_fits.SumsToOne)
    assert summed[:6] == outputs[:6] and states[6] != [0] and none[6:] == [[0]] * 2
    assert [sum(row) for row in summed[6:]] == pytest.approx([1, 1]) and summed[6] != repeated[6]


def test_a_budget_below_every_plan_is_refused() -> None:
    loop = GuidedLoop(EVALS)
    with pytest.raises(ValueError, match="--full: 1% of the MACs are too few for a plan"):
        levels._affordable(loop.batch(), loop.batch(), 0.01)


def test_absolute_errors_become_smaller_where_squares_become_larger() -> None:
    """At the first skipped evaluation, where both fits have the same features."""
    loop = GuidedLoop(EVALS)
    by_squares, by_sizes = (
        fitted(kind, ridge=0.0) for kind in (other_fits.StateFit, other_fits.LeastAbsolute)
    )
    with torch.no_grad():
        x = loop.noise()
        output = loop.output(x, 0, lambda *_: None)
        x = loop.step(x, output)
        wanted = loop.output(x, 1, lambda *_: None)
    left = [(wanted - a[1][0] * output - b[1][0] * x).flatten() for a, b in (by_squares, by_sizes)]
    assert left[1].abs().sum() < left[0].abs().sum() and left[1].norm() > left[0].norm()


def test_other_plans() -> None:
    batch = GuidedLoop(EVALS).batch()
    for planned in (other_fits.early_dearer, other_fits.by_gain, other_fits.second_sweep):
        full = full_evaluations(planned(batch, 3, UNCACHED))
        assert len(full) == 3 and full[0] == 0


def test_a_second_sweep_ends_nearer_on_its_own_batch() -> None:
    batch = GuidedLoop(EVALS).batch()
    errors = []
    for sweeps in (0, 1):
        schedule = other_fits.second_sweep(batch, 3, UNCACHED, sweeps)
        weights = other_fits.fitted_by(other_fits.StateFit, schedule, batch, UNCACHED)
        errors.append(float((batch.rollout(schedule, weights) - batch.uncached).norm()))
    assert errors[1] <= errors[0] * (1 + 1e-6)


def test_grain() -> None:
    image = torch.zeros(2, 1, 9, 9, dtype=torch.uint8)
    image[0, 0, 4, 4] = 5
    image[1, 0, 4, 4] = 200  # bright: no ground around it
    where = variants.ground(image)
    assert where[0].all() and int((~where[1]).sum()) == 25
    assert variants.grain(image, where).tolist() == pytest.approx([40 / 81, 0])


def test_weights_of_branches_bring_the_state_nearer_than_reuse() -> None:
    bench, seeds = Bench(num_samples=2, steps=6), calibration_seeds(2)
    batch = bench.batch(seeds, "branch")
    sites = batch.trajectory.sites
    schedule = Schedule.steps(sites, [True, True, False, True, False, True])
    weights = site_weights(bench, sites, schedule, seeds, depth=2, ridge=1e-4)
    assert isinstance(weights, WeightedSum) and weights.table[sites[0].name][0] == []
    errors = [float((batch.rollout(schedule, of) - batch.uncached).norm()) for of in ("reuse", weights)]
    assert errors[1] < 0.5 * errors[0]


@pytest.mark.parametrize(
    ("study", "settings", "lines"),
    [
        (
            levels,
            {"STEPS": 6, "FULL": (3,), "CALIBRATION": 2},
            ["| denoiser: states | 3 |", "| branch: states | "],
        ),
        (finer_grid, {"STEPS": 4, "FULL": (2,), "CALIBRATION": 1}, ["| 2 | 13 |"]),
    ],
)
def test_tables_are_printed(
    study: Any, settings: dict[str, Any], lines: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    for name, value in settings.items():
        monkeypatch.setattr(study, name, value)
    monkeypatch.setattr(sys, "argv", ["study", "--num-samples", "2"])
    assert study.main() == 0
    printed = capsys.readouterr().out
    assert all(line in printed for line in lines), printed


def test_written() -> None:
    assert written(torch.tensor([1.0, 3.0]), signed=True) == "+2.00 [-10.71, 14.71]"


def test_weights_that_repeat_the_denoised_sample() -> None:
    """Of v = cos(a) noise - sin(a) x0 at two levels they make the v of the same x0 and the present noise."""
    sigmas, x0 = (3.0, 0.5), torch.full((2,), 2.0)
    schedule = Schedule.steps(GuidedLoop(2).batch().trajectory.sites, [True, False])
    weights = fresh_noise.denoised(schedule, sigmas)
    angles, noises = torch.tensor(sigmas).atan(), torch.tensor([[1.0, -1.0], [0.3, 0.7]])
    given = [angle.cos() * x0 + angle.sin() * noise for angle, noise in zip(angles, noises, strict=True)]
    outputs = [angle.cos() * noise - angle.sin() * x0 for angle, noise in zip(angles, noises, strict=True)]
    predicted = weights.predict([(0.0, outputs[0])], [(0.0, given[0])], 1.0, given[1])
    torch.testing.assert_close(predicted, outputs[1])


def test_a_table_is_printed_in_markdown(capsys: Any) -> None:
    print_table([{"a": "1", "b": ""}, {"a": "2", "b": "x"}])
    assert capsys.readouterr().out == "| a | b |\n| --- | --- |\n| 1 |  |\n| 2 | x |\n\n"
