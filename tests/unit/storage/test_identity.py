"""What a part is: name, version and parameters, wherever its code and its files lie."""

import shutil
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import baselines
from baselines.fora import FORA
from baselines.l2c import L2C
from baselines.saved import SavedSchedule
from metrics.paired import PSNR
from smoothbench.caching import Reuse
from smoothbench.config.instantiate import build, build_policy, build_predictor, build_solver
from smoothbench.errors import UsageError
from smoothbench.storage.identity import claim, describe
from tests.support.user_plugins import PREDICTOR, SOLVER, cell, write

DDIM = {"_target_": "smoothbench.solvers.ddim.DDIM", "steps": 10}
AT = {
    "_target_": "smoothbench.caching.SmoothCacheAtBudget",
    "like": {"_target_": "baselines.fora.FORA", "interval": 2},
}


def aliased(monkeypatch: pytest.MonkeyPatch, module: str) -> ModuleType:
    """The same file again, as another module."""
    file = sys.modules[module].__file__
    assert file is not None
    spec = spec_from_file_location("moved", file)
    assert spec is not None and spec.loader is not None
    loaded = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "moved", loaded)
    spec.loader.exec_module(loaded)
    return loaded


def test_a_solver_is_its_name_version_and_parameters() -> None:
    found = describe(build_solver(DDIM), DDIM)
    assert found["name"] == "ddim" and found["version"] == 1  # whose numbers version 2 gives too
    assert found["parameters"].items() >= {"steps": 10, "numerics": "reference", "train_steps": 1000}.items()


def test_defaults_are_filled_in() -> None:
    explicit = AT | {"k_max": 3, "group": "kind"}
    assert describe(build_policy(AT, "cache"), AT) == describe(build_policy(explicit, "cache"), explicit)
    node = {"_target_": "metrics.paired.PSNR"}
    assert describe(PSNR(), node)["parameters"] == {"cap": 60.0}


def test_nested_parts_are_described_too() -> None:
    like = describe(build_policy(AT, "cache"), AT)["parameters"]["like"]
    assert like == describe(FORA(2)) and like["name"] == "fora"


@pytest.mark.parametrize(
    ("module", "node"),
    [
        ("smoothbench.solvers.ddim", DDIM),
        ("baselines.fora", {"_target_": "baselines.fora.FORA", "interval": 3}),
        ("metrics.paired", {"_target_": "metrics.paired.PSNR", "cap": 50.0}),
    ],
)
def test_a_class_of_another_module_path_is_the_same(
    monkeypatch: pytest.MonkeyPatch, module: str, node: dict[str, Any]
) -> None:
    aliased(monkeypatch, module)
    moved = node | {"_target_": node["_target_"].replace(module, "moved")}
    parts = build(node, "here"), build(moved, "there")
    assert type(parts[0]) is not type(parts[1])
    assert describe(parts[0], node) == describe(parts[1], moved)


def test_a_file_counts_by_what_it_holds(tmp_path: Path) -> None:
    routers, schedules = (Path(baselines.__file__).parent / name for name in ("routers", "schedules"))
    for part, folder in ((L2C, routers), (SavedSchedule, schedules)):
        first, second = sorted(path for path in folder.iterdir() if path.suffix in (".safetensors", ".json"))[
            :2
        ]
        copy = Path(shutil.copy(first, tmp_path / f"copy{first.suffix}"))
        found = [describe(part(str(path))) for path in (first, copy, second)]
        assert found[0] == found[1] != found[2] and "copy" not in str(found[1])


def test_a_class_without_a_name_or_version_counts_by_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = {"_target_": "users.mine.Last"}
    write(tmp_path, monkeypatch, mine=PREDICTOR)
    before = describe(build_predictor(node, "here"), node)
    assert before.keys() == {"class", "source", "parameters"} and before["class"] == "Last"
    write(tmp_path, monkeypatch, mine=PREDICTOR.replace("* 1.0", "* 0.9"))
    assert describe(build_predictor(node, "here"), node)["source"] != before["source"]


def test_a_subclass_has_neither_name_nor_version_of_its_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, monkeypatch, mine=SOLVER)
    node = DDIM | {"_target_": "users.mine.Own"}
    found = describe(build_solver(node), node)
    assert found["class"] == "Own" and "version" not in found and "name" not in found


def test_two_classes_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    other = 'class Other:\n    name, version = "reuse", 1\n    depth, coordinate = 1, "index"\n'
    taken: dict[str, type] = {}
    claim(taken, Reuse(), "points.a")
    moved = aliased(monkeypatch, "smoothbench.caching.predictor")
    claim(taken, moved.Reuse(), "points.b")  # the same code, wherever it lies
    with pytest.raises(
        UsageError, match=r"points\.c: cells\.Other has the name 'reuse', as smoothbench\.caching"
    ):
        claim(taken, cell(monkeypatch, other).Other(), "points.c")
