"""A class with the name of one in conf/ is refused, whatever ran before: its results would pass for the other's."""

from dataclasses import dataclass

import pytest
import torch

from metrics.paired import PSNR
from smoothbench.config.declared_names import claim_name, targets
from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build_model
from smoothbench.errors import UsageError
from smoothbench.scoring.scorer import Scorer
from smoothbench.solvers.ddim import DDIM
from smoothbench.storage.feature_cache import FeatureCache
from tests.support.compose import composed, experiment


@dataclass(frozen=True)
class Twin(DDIM):
    """Twice the step of DDIM, under its name."""

    name = "ddim"
    version = 2

    def step(self, e, x, output, noise):  # type: ignore[no-untyped-def]
        return 2 * super().step(e, x, output, noise)


class Half(PSNR):
    """Half a PSNR, under its name."""

    name = "psnr"
    version = 1


def test_a_solver_with_the_name_of_one_in_conf_is_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError) as error:
        experiment(tmp_path, "only=[fora]", f"solver._target_={__name__}.Twin")
    assert "Twin has the name 'ddim', as smoothbench.solvers.ddim.DDIM of conf/solver has" in str(error.value)
    assert "\n" not in str(error.value) and not list(tmp_path.rglob("*.json"))


def test_a_metric_with_the_name_of_one_in_conf_is_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    model = build_model(settings(composed()).model, torch.device("cpu"))
    with pytest.raises(
        UsageError, match=r"metrics\.psnr: .*Half has the name 'psnr', as metrics\.paired\.PSNR"
    ):
        Scorer({"psnr": {"metric": {"_target_": f"{__name__}.Half"}}}, model, FeatureCache(tmp_path))


def test_a_class_of_conf_has_its_own_name() -> None:
    claim_name({}, DDIM(), "solver", "solver")
    claim_name({}, PSNR(), "metrics", "metrics.psnr")


def test_nodes_on_one_line_count() -> None:
    assert {"metrics.paired.PSNR", "metrics.paired.SSIM"} <= set(targets("metrics"))


def test_a_predictor_with_the_name_of_ours_is_refused() -> None:
    class Last:
        name, version, depth = "taylor", 1, 2

    with pytest.raises(UsageError) as error:
        claim_name({}, Last(), "predictor", "points.mine")
    assert "Last has the name 'taylor', as smoothbench.caching.predictor.Taylor has, whose" in str(
        error.value
    )
