"""One point of a folder: read, and built again by the names of its parts wherever their code lies today."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from baselines.fora import FORA
from baselines.l2c import L2C
from smoothbench.caching import Schedule, SmoothCacheAtBudget, cached
from smoothbench.config.declared_names import classes_by_name
from smoothbench.errors import UsageError
from smoothbench.results import PointResult, load
from smoothbench.storage.files import load_json
from smoothbench.storage.record_files import record_files, record_stem
from tests.support.report_folder import build, edit

pytestmark = pytest.mark.slow

PUBLISHED = Path(__file__).parents[3] / "results"
L2C_POINT = "l2c-penalty=1e-05"
BUDGET = "at_l2c-interval=2"  # SmoothCache at the budget of a router


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The published records and curves of learning_to_cache."""
    for name in ("records", "curves", "previews"):
        shutil.copytree(PUBLISHED / "learning_to_cache" / name, tmp_path / "folder" / name)
    return tmp_path / "folder"


def changed(folder: Path, name: str, change: Callable[[dict[str, Any]], None]) -> PointResult:
    """The point after a change to its record."""
    (path,) = [path for path in record_files(folder) if load_json(path)["name"] == name]
    content = load_json(path)
    change(content)
    path.with_name(f"{record_stem(path)}.json").write_text(json.dumps(content))  # goes before the packed one
    return load(folder).point(name)


@pytest.mark.parametrize("experiment", ["learning_to_cache", "dit_dpmpp"])
def test_every_published_point_is_planned_again_bit_for_bit(experiment: str) -> None:
    results = load(PUBLISHED / experiment)
    one_of_each = dict(zip(results.frame["steps"], results.frame["name"], strict=True))
    bench = {steps: results.point(name).rebuild() for steps, name in one_of_each.items()}
    for _, row in results.frame.iterrows():
        point = results.point(row["name"])
        trajectory = bench[row["steps"]].trajectory
        schedule = point.policy.plan(trajectory, point.curves)  # type: ignore[union-attr]
        assert point.schedule and schedule.computed == point.schedule.computed
        full = results.frame["steps"].max()
        assert trajectory.share(schedule) * row["steps"] / full == pytest.approx(row["share"])


def test_a_point_has_its_files_and_scores(folder: Path) -> None:
    point = load(folder).point(BUDGET)
    assert point.curves and point.curves.k_max == 3 and list(point.previews) == list(range(8))
    score = point.scores["psnr@512"]
    assert score.low < score.value < score.high
    assert load(folder).point("reference").curves is None
    assert point.policy == SmoothCacheAtBudget(point.policy.like, 3, "kind")  # type: ignore[union-attr]
    assert isinstance(point.policy.like, L2C)  # type: ignore[union-attr]


def test_samples_are_drawn_again(folder: Path) -> None:
    point = load(folder).point("fora-interval=3")
    again, seeds = point.rebuild(), list(point.previews)[:2]
    with cached(again.denoiser, point.schedule) as run:
        samples = again.draw(seeds, run)
    published = again.read_samples([point.previews[seed] for seed in seeds])
    assert ((samples.int() - published.int()).abs() <= 1).float().mean() > 0.95
    assert run.calls == point.schedule.calls()  # type: ignore[union-attr]
    assert not torch.equal(again.draw(seeds), samples)
    plans = {"no cache": FORA(1).plan(again.trajectory), "FORA": point.schedule}
    assert len(again.draw_schedules(plans).axes) >= 2  # type: ignore[arg-type]
    assert again.draw_samples({"FORA": samples}, seeds, {"FORA": 0.4}).axes


def test_a_device_that_is_not_there_is_one_line(folder: Path) -> None:
    with pytest.raises(UsageError, match="device='foo': no such device; use auto, cpu or cuda"):
        load(folder).point("fora-interval=3").rebuild("foo")


def test_a_class_is_found_by_its_name_where_its_path_is_of_an_old_layout(folder: Path) -> None:
    def move(record: dict[str, Any]) -> None:
        for part in ("cache", "solver"):  # the model's is one that `moved` knows, with a file that moved too
            record["config"][part]["_target_"] = "smoothbench.before.everything.moved.Class"

    point = changed(folder, L2C_POINT, move)
    assert isinstance(point.policy, L2C)
    assert point.rebuild().trajectory.evals == 50


def test_a_part_of_a_policy_is_found_by_its_name_too(folder: Path) -> None:
    def move(record: dict[str, Any]) -> None:
        record["config"]["cache"]["like"]["_target_"] = "baselines.elsewhere.L2C"

    assert isinstance(changed(folder, BUDGET, move).policy.like, L2C)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda r: r["described"]["policy"].update(version=9),
            "made by version 9 of l2c, .* than version 1 of now",
        ),
        (
            lambda r: r["described"]["policy"].update(name="gone"),
            "no class of conf/ has the name gone: there are adacache, adams_bashforth",
        ),
        (lambda r: r["described"]["policy"].update(digest="0" * 64), "a file of l2c has another content"),
        (lambda r: r["config"].pop("cache"), "does not say how its cache was configured"),
        (lambda r: r["config"]["cache"].update(router="gone.pt"), "gone.pt: no such file"),
    ],
)
def test_a_method_that_is_not_the_recorded_one_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    point = changed(folder, L2C_POINT, change)
    with pytest.raises(UsageError, match=message) as caught:
        _ = point.policy
    assert f"{folder}: {L2C_POINT}" in str(caught.value) and "\n" not in str(caught.value)


def test_a_method_that_declares_no_name_goes_by_its_path(folder: Path) -> None:
    def unnamed(record: dict[str, Any]) -> None:
        record["described"]["policy"] = {"class": "FORA", "source": "0" * 12, "parameters": {"interval": 3}}
        record["config"]["cache"] = {"_target_": "baselines.fora.FORA", "interval": 3}

    assert changed(folder, "fora-interval=3", unnamed).policy == FORA(3)


def test_a_users_class_is_found_where_its_record_says(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_policy.py").write_text(
        "from baselines.fora import FORA\nclass Own(FORA):\n    name = 'own'\n    version = 1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    def own(record: dict[str, Any]) -> None:
        record["described"]["policy"]["name"] = "own"
        record["config"]["cache"]["_target_"] = "own_policy.Own"

    assert type(changed(folder, "fora-interval=3", own).policy).__name__ == "Own"


def test_curves_that_are_gone_damaged_or_others_are_refused(folder: Path) -> None:
    point = load(folder).point(BUDGET)
    path = folder / point.record.calibration.file  # type: ignore[union-attr]
    others = PUBLISHED / "dit_dpmpp" / "curves"
    for content, message in (
        (next(others.iterdir()).read_bytes(), "holds other curves"),
        (b"torn", "holds no error curves"),
        (None, "is not in this copy"),
    ):
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(UsageError, match=message):
            _ = point.curves


def test_a_point_that_failed_has_no_schedule(tmp_path: Path) -> None:
    folder = build(tmp_path / "dit_ddim", (0, 6, 21), ("fd_nano@256",))
    point = load(folder).point("l2c-router")
    assert point.schedule is None and not point.scores and point.label == "L2C router"
    edit(folder, "fora-n=2", schedule={"sites": ["a"], "kinds": ["ff"], "rows": ["0", "1"]})
    with pytest.raises(UsageError, match="its schedule is none"):
        _ = load(folder).point("fora-n=2").schedule
    assert isinstance(load(folder).point("no-cache,-50-steps").schedule, Schedule)


def test_every_class_that_conf_names_is_known_by_its_name() -> None:
    assert classes_by_name("cache")["fora"] == "baselines.fora.FORA"
    assert classes_by_name("solver")["ddim"] == "smoothbench.solvers.ddim.DDIM"
    assert {"pixel_dit", "latent_dit", "opensora"} <= classes_by_name("model").keys()
