"""The solver of a point: what it keeps of the run's where it is of another class."""

import pytest
from omegaconf import OmegaConf

from smoothbench.config.solver_node import merged_solver

NODES = {
    "ddim": "smoothbench.solvers.ddim.DDIM",
    "sde": "smoothbench.solvers.dpmpp_3m_sde.DPMSolverPlusPlus3MSDE",
    "unipc": "smoothbench.solvers.unipc.UniPCV",
}
SDE = {"_target_": NODES["sde"], "steps": 100, "sigma_min": 0.3, "eta": 1.0}


@pytest.mark.parametrize("of_point", [None, {}, {"eta": 0.0}, {"_target_": NODES["sde"], "eta": 0.0}])
def test_of_the_same_class_everything_is_kept(of_point: dict[str, object] | None) -> None:
    merged = merged_solver(OmegaConf.create(SDE), None if of_point is None else OmegaConf.create(of_point))
    assert merged == {**SDE, **(of_point or {})}


def test_of_another_class_what_that_one_has_is_kept() -> None:
    merged = merged_solver(OmegaConf.create(SDE), OmegaConf.create({"_target_": NODES["unipc"], "order": 3}))
    assert merged == {"_target_": NODES["unipc"], "steps": 100, "sigma_min": 0.3, "order": 3}, "without eta"
    merged = merged_solver(OmegaConf.create(SDE), {"_target_": NODES["ddim"], "steps": 9})
    assert merged == {"_target_": NODES["ddim"], "steps": 9}


def test_interpolations_stay() -> None:
    run = OmegaConf.create({"_target_": NODES["sde"], "steps": "${number}", "eta": "${other}"})
    assert merged_solver(run, {"_target_": NODES["unipc"]}) == {
        "_target_": NODES["unipc"],
        "steps": "${number}",
    }


@pytest.mark.parametrize("target", ["nowhere.Solver", 7, "builtins.dict"])
def test_a_class_that_cannot_be_asked_keeps_everything(target: object) -> None:
    assert merged_solver(SDE, {"_target_": target}) == {**SDE, "_target_": target}
