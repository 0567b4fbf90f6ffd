"""What the README shows works as it stands there."""

import re
from pathlib import Path
from typing import Any

import yaml

from smoothbench.build import build_policy
from smoothbench.caching import ErrorCurves
from smoothbench.report import summary
from tests.tiny_pipelines import tiny_dit_pipeline

README = (Path(__file__).parent.parent / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.S)


def test_the_library_snippet_skips_something() -> None:
    scope: dict[str, Any] = {"pipe": tiny_dit_pipeline()}
    exec(blocks("python")[0], scope)
    assert 0 < scope["run"].skipped_share < 1
    assert set(scope["run"].calls) == {site.name for site in scope["curves"].trajectory.sites}


def test_the_policy_is_one(curves: ErrorCurves) -> None:
    scope: dict[str, Any] = {"__name__": "late"}
    exec(blocks("python")[1], scope)
    schedule = scope["Late"]().plan(curves.trajectory)
    assert [row[0] for row in schedule.computed] == [True] * 6 + [e % 2 == 0 for e in range(6, 12)]
    node = yaml.safe_load(blocks("yaml")[0])
    assert set(node) == {"_target_", "predictor", "family", "label"}
    assert build_policy({**node, "_target_": "baselines.none.NoCache"}, "late").needs_curves is False


def test_the_table_is_that_of_the_published_results() -> None:
    assert summary(Path(__file__).parent.parent / "results/dit_ddim").strip() in README


def test_pictures_and_pages_exist() -> None:
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (Path(__file__).parent.parent / link).exists(), link
