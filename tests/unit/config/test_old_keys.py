"""A key as an earlier version spelled it: one line with the new spelling, exit code 2, and nothing is written."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from smoothbench.config.expand import settings
from smoothbench.config.instantiate import MODEL, build_model, build_solver, require_attributes
from smoothbench.config.old_keys import check_overrides, new_spelling
from smoothbench.errors import UsageError
from tests.support.command_line import refusal_of
from tests.support.compose import composed
from tests.support.user_plugins import cell

NOW = "class and parameters of a method are under policy now: "


@pytest.mark.parametrize(
    ("arguments", "spelling"),
    [
        (["cache=smoothcache", "cache.alpha=0.2"], "cache.policy.alpha"),
        (["cache=smoothcache", "+cache.alpha=0.2"], "cache.policy.alpha"),
        (["cache=smoothcache", "~cache.k_max"], "cache.policy.k_max"),
        (["-m", "cache=smoothcache", "cache.alpha=0.1,0.3"], "cache.policy.alpha"),
        (["cache=smoothcache_at", "cache.like.interval=3"], "cache.policy.like.interval"),
        (["cache._target_=baselines.fora.FORA"], "cache.policy._target_"),
        (["+exp=smoke", "points.fora.cache.interval=3"], "points.fora.cache.policy.interval"),
        (
            ["+exp=paper/dit_ddim", "points.s50_alpha22.published.full=3"],
            "points.s50_alpha22.published.policy.full",
        ),
        (["++reference.cache.alpha=1"], "reference.cache.policy.alpha"),
        (["cache=smoothcache", "cache={alpha:0.2}"], "cache.policy.alpha"),
        (["-m", "cache=smoothcache", "+cache={alpha:0.2},{alpha:0.3}"], "cache.policy.alpha"),
        (["+exp=smoke", "points.fora.cache={interval:3}"], "points.fora.cache.policy.interval"),
        (["+exp=smoke", "points={fora:{cache:{interval:3}}}"], "points.fora.cache.policy.interval"),
        (["+exp=smoke", "points.fora.sweep.cache.interval=[3]"], "points.fora.sweep.cache.policy.interval"),
        (["+exp=smoke", "points.fora.sweep={cache.interval:[3]}"], "points.fora.sweep.cache.policy.interval"),
    ],
)
def test_an_old_override_is_one_line_with_the_new_spelling(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: list[str],
    spelling: str,
) -> None:
    assert refusal_of(arguments, tmp_path, monkeypatch, capfd).endswith(f"{NOW}{spelling}")
    assert not list(tmp_path.iterdir())


FLAT = """
_target_: baselines.fora.FORA
interval: 3
orientation: repository
predictor: reuse
family: FORA
label: FORA N=${.interval}
"""
HALF = "policy: {_target_: baselines.fora.FORA, interval: 3, orientation: repository}\npredictor: reuse\nfamily: FORA\n"


@pytest.mark.parametrize(
    ("node", "overrides", "message"),
    [
        (FLAT, ["cache=mine"], f"cache._target_: {NOW}cache.policy._target_"),
        (
            FLAT,
            ["+cache@points.a.cache=mine"],
            f"points.a.cache._target_: {NOW}points.a.cache.policy._target_",
        ),
        (
            FLAT,
            ["+cache@points.a.cache=smoothcache", "+cache@points.a.published=mine"],
            f"points.a.published._target_: {NOW}points.a.published.policy._target_",
        ),
        (HALF + "label: FORA N=${.interval}\n", ["cache=mine"], NOW + "${.policy.interval}"),
        (HALF + "label: FORA N=${cache.interval}\n", ["cache=mine"], NOW + "${cache.policy.interval}"),
        (HALF + "label: a\ninterval: 2\n", ["cache=mine"], f"cache.interval: {NOW}cache.policy.interval"),
        (
            HALF + "label: a\n",
            ["+cache@points.a.cache=mine", "+points.a.sweep={cache.interval:[2,3]}"],
            f"the sweep names cache.interval, which the point does not have; {NOW}cache.policy.interval",
        ),
    ],
)
def test_an_old_yaml_is_one_line_with_the_new_spelling(
    tmp_path: Path, node: str, overrides: list[str], message: str
) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/mine.yaml").write_text(node)
    with pytest.raises(UsageError) as error:
        settings(composed(f"hydra.searchpath=[file://{tmp_path}]", *overrides))
    assert str(error.value).endswith(message) and "\n" not in str(error.value)


def test_an_experiment_of_a_user_may_be_of_the_old_kind(tmp_path: Path) -> None:
    (tmp_path / "exp").mkdir()
    (tmp_path / "exp/mine.yaml").write_text(
        "# @package _global_\ndefaults: [/cache@points.a.cache: smoothcache, _self_]\n"
        "points: {a: {cache: {alpha: 0.1, label: 'alpha=${.alpha}'}}}\n"
    )
    with pytest.raises(UsageError) as error:
        settings(composed(f"hydra.searchpath=[file://{tmp_path}]", "+exp=mine"))
    assert str(error.value) == f"points.a.cache.alpha: {NOW}points.a.cache.policy.alpha"


@pytest.mark.parametrize(
    ("now", "before"),
    [
        ("labels_or_prompts", "conditions"),
        ("unavailable_reason", "missing"),
        ("guidance_rows", "rows"),
        ("min_batch_size", "least_batch"),
    ],
)
def test_a_model_of_the_old_protocol_is_told_the_new_name(now: str, before: str) -> None:
    part = SimpleNamespace(**dict.fromkeys(MODEL))
    assert require_attributes(part, "model", *MODEL) is part
    setattr(part, before, part.__dict__.pop(now))
    with pytest.raises(UsageError) as error:
        require_attributes(part, "model", *MODEL)
    assert str(error.value) == (
        f"model: a SimpleNamespace cannot stand here, it has no {now} ({before} is {now} now)"
    )


def test_a_solver_with_a_loop_of_its_own_is_told_of_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    cell(
        monkeypatch,
        "class Own:\n    prediction, coordinates = 'noise', (1.0,)\n    def integrate(self): ...\n",
    )
    with pytest.raises(
        UsageError, match=r"a Own cannot stand here, it has no begin \(integrate is begin now\)"
    ):
        build_solver({"_target_": "cells.Own"})


@pytest.mark.parametrize(
    ("base", "target", "old", "new"),
    [
        ("smoothbench.solvers.ddim import DDIM as Base", "solver", "integrate", "begin"),
        (
            "smoothbench.models.nano.image.model import PixelDiT as Base",
            "model",
            "conditions",
            "labels_or_prompts",
        ),
    ],
)
def test_a_subclass_that_overrides_what_is_not_called_any_more_is_refused(
    monkeypatch: pytest.MonkeyPatch, base: str, target: str, old: str, new: str
) -> None:
    cell(monkeypatch, f"from {base}\nclass Own(Base):\n    def {old}(self, *given): ...\n")
    with pytest.raises(UsageError, match=f"^{target}: Own has {old}, which is {new} now$"):
        if target == "solver":
            build_solver({"_target_": "cells.Own"})
        else:
            node = settings(composed()).model
            build_model({**node, "_target_": "cells.Own"}, torch.device("cpu"))


@pytest.mark.parametrize(
    "key",
    [
        "cache.policy.alpha",
        "cache.training.penalty",
        "cache.label",
        "solver.steps",
        "cache",
        "points.a.solver.x",
    ],
)
def test_what_is_spelled_as_now_has_no_new_spelling(key: str) -> None:
    assert new_spelling(key) is None
    check_overrides(["-m", f"+{key}=1,2", "--cfg", "job", "+cache@points.a.cache=fora", "x=cache.alpha"])


def test_the_value_of_an_option_is_no_old_key() -> None:
    check_overrides(["--config-dir", "cache.d", "cache=mine"])


def test_a_node_as_it_is_spelled_now_has_no_new_spelling() -> None:
    check_overrides(
        ["cache={policy:{alpha:0.2},label:a}", "points.a.sweep={cache.policy.alpha:[1]}", "x={a:"]
    )
