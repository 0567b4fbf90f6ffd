"""Schedules: published masks, JSON both ways, and everything that is wrong with a file."""

import json
from pathlib import Path

import pytest

from baselines.fora import FORA
from baselines.saved import SavedSchedule
from smoothbench.caching import Schedule, Site, Trajectory, find_sites
from tests.support.tiny_dit import TinyDiT

SITES = tuple(Site(f"blocks.{b}.{k}", k, "") for b in range(3) for k in ("self_attn", "ff"))


def trajectory(evals: int) -> Trajectory:
    return Trajectory(SITES, tuple(map(float, range(evals))))


def mask(schedule: Schedule) -> str:
    """One bit an evaluation, of a schedule that treats all sites alike."""
    assert all(len(set(row)) == 1 for row in schedule.computed)
    return "".join("01"[row[0]] for row in schedule.computed)


@pytest.mark.parametrize(
    ("evals", "interval", "full"), [(50, 2, 26), (50, 3, 18), (30, 2, 16), (70, 2, 36), (70, 3, 24)]
)
def test_fora_computes_as_often_as_published(evals: int, interval: int, full: int) -> None:
    repository = mask(FORA(interval).plan(trajectory(evals)))
    mirrored = mask(FORA(interval, "mirrored").plan(trajectory(evals)))
    assert repository.count("1") == mirrored.count("1") == full
    assert mirrored == repository[::-1]


def test_fora_orientations_as_in_the_released_files() -> None:
    assert mask(FORA(2).plan(trajectory(50))) == "11" + "01" * 24
    assert mask(FORA(3).plan(trajectory(50))) == "11" + "001" * 16
    assert mask(FORA(2, "mirrored").plan(trajectory(50))) == "10" * 24 + "11"


@pytest.mark.parametrize("names", ["published", "canonical"])
def test_json_both_ways(names: str) -> None:
    rows = [[1] * 6, [0, 1, 0, 1, 0, 0], [1, 0, 1, 0, 1, 1]]
    schedule = Schedule.of(SITES, rows, {"method": "hand-made"})
    data = json.loads(json.dumps(schedule.to_json(names)))
    keys = {
        "published": {"attn", "mlp-0", "mlp-1", "mlp-2"},
        "canonical": {"self_attn", "ff-0", "ff-1", "ff-2"},
    }
    assert set(data) - {"_meta"} == keys[names]
    assert Schedule.from_json(data, SITES) == schedule


def test_a_block_overrides_its_kind_wherever_it_stands() -> None:
    data = {"mlp-1": [1, 1], "attn": [1, 0], "mlp": [1, 0]}
    assert Schedule.from_json(data, SITES).computed[1] == (False, False, False, True, False, False)


def test_an_absent_kind_is_computed_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="says nothing of \\['ff'\\]"):
        schedule = Schedule.from_json({"attn1": [1, 0]}, SITES)
    assert schedule.computed[1] == (False, True) * 3


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            {"attn": [1, 0], "conv": [1, 0]},
            "'conv' names no site of the model, which has \\['ff', 'self_attn'\\]",
        ),
        ({"attn-7": [1, 0]}, "'attn-7' names no site"),
        (
            {"conv": [1, 0], "_meta": {"made_for": {"model": {"name": "other_nano"}}}},
            "in 3 blocks; the file was made for other_nano: make one for this model by stage=tune",
        ),
        ({"attn": [1, 0], "mlp": [1, 0, 1]}, "equally long"),
        ({"attn": [1, 2], "mlp": [1, 0]}, "'attn' must be a list of 0 and 1"),
        ({"attn": "10", "mlp": [1, 0]}, "'attn' must be a list of 0 and 1"),
        ({"attn": [1, [0]], "mlp": [1, 0]}, "'attn' must be a list of 0 and 1"),
        ({"attn": [1, 0], "self_attn": [1, 1], "mlp": [1, 0]}, "mean the same"),
        ({"attn": [0, 1], "mlp": [1, 1]}, "every site at its first evaluation"),
        ({"_meta": {}}, "no kind"),
        ({"attn": [1], "mlp": [1], "_meta": 3}, "_meta"),
        ({"attn": [1], "mlp": [1], "_meta": {"coordinates": [10**400]}}, "coordinates are 1 finite numbers"),
    ],
)
def test_bad_json_is_refused(data: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Schedule.from_json(data, SITES)


@pytest.mark.parametrize("text", ["", "[1, 0]", "{", '{"attn": NaN}'])
def test_a_bad_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"broken\.json"):
        Schedule.load(path, SITES)


def test_a_saved_schedule_must_have_the_solvers_length(tmp_path: Path) -> None:
    path = tmp_path / "fora.json"
    FORA(2).plan(trajectory(12)).save(path)
    assert SavedSchedule(str(path)).plan(trajectory(12)) == FORA(2).plan(trajectory(12))
    with pytest.raises(ValueError, match=r"fora\.json has 12 evaluations, but the solver makes 10"):
        SavedSchedule(str(path)).plan(trajectory(10))
    with pytest.raises(ValueError, match="no such file"):
        SavedSchedule(str(tmp_path / "absent.json"))


def test_bad_parameters_of_fora() -> None:
    with pytest.raises(ValueError, match="interval must be a whole number from 1, not 0"):
        FORA(0)
    with pytest.raises(ValueError, match="interval must be a whole number from 1, not True"):
        FORA(True)
    with pytest.raises(ValueError, match="orientation is"):
        FORA(2, "sideways")


def test_sites_of_a_dit(tiny: TinyDiT) -> None:
    sites = find_sites(tiny.denoiser)
    assert [s.name for s in sites[:3]] == ["blocks.0.self_attn", "blocks.0.ff", "blocks.1.self_attn"]
    assert (sites[3].kind, sites[3].block, sites[3].path) == ("ff", 1, "transformer_blocks.1.ff")


def test_a_model_without_blocks_must_declare_its_sites() -> None:
    from torch import nn

    with pytest.raises(ValueError, match="declare its sites"):
        find_sites(nn.Linear(2, 2))
