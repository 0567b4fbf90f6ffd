"""Files of a report are called by what tells their tables apart."""

from pathlib import Path
from typing import Any

import pytest

from smoothbench.report import load, write
from smoothbench.report.data.groups import MOST_LETTERS, comparable_groups
from tests.support.study_folder import add, fixed
from tests.support.two_tables import add as add_table
from tests.support.two_tables import weighted


def names(folder: Path) -> list[str]:
    return [name for name, _ in comparable_groups(load(folder))]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Settings of two solvers, two numbers of steps and two guidance scales, one of them the largest."""
    for solver, evals, guidance in (
        ("ddim", 12, 2.0),
        ("ddim", 12, 1.5),
        ("ddim", 20, 2.0),
        ("dpmpp", 12, 2.0),
    ):
        where: dict[str, Any] = {"solver": solver, "guidance": guidance}
        add(tmp_path, "no cache", fixed(evals), **where)
        for interval in (2, 3) if solver == "dpmpp" else (2,):
            add(tmp_path, f"FORA N={interval}", fixed(evals, interval), 0.1, **where)
    return tmp_path


@pytest.mark.slow
def test_tables_and_pictures_are_called_by_solver_steps_and_guidance(study: Path) -> None:
    assert sorted(names(study)) == ["", "ddim-12-guidance1.5", "ddim-12-guidance2", "ddim-20-guidance2"]
    paths = {path.name for path in write(study)}
    assert {"table.csv", "ddim-12-guidance1.5.csv", "ddim-12-guidance1.5.tex"} <= paths
    assert "pareto_macs-ddim-20-guidance2.png" in paths
    assert "![pareto_macs-ddim-20-guidance2.png]" in (study / "report.md").read_text()


def test_another_table_renames_no_other(study: Path) -> None:
    before = set(names(study))
    add(study, "no cache", fixed(30), solver="dpmpp")
    assert set(names(study)) == before | {"dpmpp-30-guidance2"}


def test_what_else_differs_stands_behind_them(tmp_path: Path) -> None:
    add_table(tmp_path, "a", **weighted("a"))
    add_table(tmp_path, "b", (0, 5), **weighted("b", "checkpoints/b one"))
    add_table(tmp_path, "c", (0,), experiment="other", provenance={"device": "H100"}, **weighted("a"))
    first, second, third = names(tmp_path)
    assert first == "" and second.startswith("ddim-50-guidance2-dit_ddim-weightscheckpoints_b_one")
    assert third.startswith("ddim-50-guidance2-other-weightscheckpoints_a") and third.endswith("-H100")


def test_long_names_and_twins_get_a_code(tmp_path: Path) -> None:
    for letter in "abc":  # nothing that a record says tells them apart, but their references
        add_table(tmp_path, letter, (0,))
    others = names(tmp_path)[1:]
    assert len(set(others)) == 2 and all(name.startswith("ddim-50-guidance2") for name in others)
    long = {f"setting{i}": "x" * 30 for i in range(5)}
    add_table(tmp_path, "d", (0,), model=long)
    assert all(len(name) <= MOST_LETTERS["name"] + 9 for name in names(tmp_path))
    assert len(set(names(tmp_path))) == 4
