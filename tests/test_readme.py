"""What the README shows works as it stands there."""

import re
import shlex
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from smoothbench import caching
from smoothbench.build import build_policy
from smoothbench.caching import ErrorCurves
from smoothbench.report import summary
from tests.test_overrides import checked
from tests.tiny_pipelines import tiny_dit_pipeline
from tests.tiny_video_pipeline import tiny_ltx_pipeline, video_latents

README = (Path(__file__).parent.parent / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.S)


def test_the_library_snippet_skips_something() -> None:
    scope: dict[str, Any] = {"pipe": tiny_dit_pipeline()}
    exec(blocks("python")[0], scope)
    assert 0 < scope["run"].skipped_share < 1
    assert set(scope["run"].calls) == {site.name for site in scope["curves"].trajectory.sites}


def test_the_step_callback_tells_evaluations() -> None:
    pipe = tiny_ltx_pipeline()
    given = {"pipe": partial(video_latents, pipe, 6), "model": pipe.transformer, "arguments": {}}
    scope: dict[str, Any] = {**given, **{name: getattr(caching, name) for name in caching.__all__}}
    exec(blocks("python")[1], scope)
    assert scope["run"].forwards == 6 and len(scope["schedule"].computed) == 6


def test_the_policy_is_one(curves: ErrorCurves) -> None:
    scope: dict[str, Any] = {"__name__": "late"}
    exec(blocks("python")[2], scope)
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


def commands() -> list[list[str]]:
    """The arguments of the README's runs."""
    lines = re.findall(r"^python -m smoothbench (?!--help)([^#\n]+)", README, re.M)
    return [shlex.split(line) for line in lines]


@pytest.mark.parametrize("arguments", commands(), ids=" ".join)
def test_what_the_readme_shows_is_taken(arguments: list[str]) -> None:
    overrides = [
        re.sub("^(seed|cache.alpha)=([^,]+),.*", r"\1=\2", each) for each in arguments if each != "-m"
    ]
    assert "-m" in arguments or overrides == arguments
    checked(*overrides)
