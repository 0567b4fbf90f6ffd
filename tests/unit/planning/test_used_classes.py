"""What the points of an experiment share is read and measured once."""

from typing import Any

import pytest
import torch

from baselines.teacache import TeaCache
from smoothbench.caching.predictor import Reuse, Taylor
from smoothbench.errors import UsageError
from smoothbench.models.nano.image.model import PixelDiT
from smoothbench.planning import chosen_sites, used_classes
from smoothbench.planning.chosen_sites import ChosenSites
from smoothbench.planning.used_classes import UsedClasses
from smoothbench.solvers.ddim import DDIM
from smoothbench.storage.code_fingerprint import code_of


class Mine:
    name = "mine"


class Other:
    name = "mine"


def counted(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[tuple[Any, ...]]:
    """The arguments of all calls of a module's function."""
    calls, function = list[tuple[Any, ...]](), getattr(module, name)

    def call(*args: Any) -> Any:
        calls.append(args)
        return function(*args)

    monkeypatch.setattr(module, name, call)
    return calls


def test_the_code_of_a_class_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, classes = counted(monkeypatch, used_classes, "code_of"), UsedClasses()
    first = classes.code({"solver": DDIM(4), "predictor": Reuse()})
    assert first == {"solver": code_of(DDIM(4)), "predictor": code_of(Reuse())}
    second = classes.code({"solver": DDIM(50), "predictor": Taylor(1)})
    assert second == {"solver": first["solver"], "predictor": code_of(Taylor(1))}
    assert [type(plugin) for (plugin,) in calls] == [DDIM, Reuse, Taylor]


def test_a_name_is_claimed_over_all_points_and_by_its_kind() -> None:
    classes = UsedClasses()
    classes.claim({"solver": Mine(), "cache": Other()}, "points.first")
    classes.claim({"solver": Mine()}, "points.second")
    with pytest.raises(UsageError, match=r"points\.third: .*Other has the name 'mine'"):
        classes.claim({"solver": Other()}, "points.third")


def test_what_it_costs_to_reach_a_probe_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # a guidance that nothing else here has
    model = PixelDiT("dit_nano", "dit", 2.015625, torch.device("cpu"))
    calls, sites = counted(monkeypatch, chosen_sites, "probe_costs"), ChosenSites(model)
    planned = [sites.trajectory(TeaCache(threshold), (3.0, 1.0)) for threshold in (0.1, 0.2)]
    assert len(calls) == 1 and planned[0] == planned[1] and planned[0].approaches
