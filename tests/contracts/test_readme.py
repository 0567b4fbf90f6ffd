"""What the README and the documents show works as it stands there, and a newcomer can read it."""

import re
import shlex
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs import front_page, readme_parts
from smoothbench import caching
from smoothbench.caching import ErrorCurves
from smoothbench.config import method_heads
from smoothbench.config.loss_target import quoted
from smoothbench.config.shard import with_jobs
from smoothbench.report import summary
from tests.support.compose import checked
from tests.support.tiny_pipelines import tiny_dit_pipeline
from tests.support.tiny_video_pipeline import tiny_ltx_pipeline, video_latents

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
LIBRARY = (ROOT / "docs/library.md").read_text()
MOST_LINES = 139  # without the methods list, which grows with every method: 150 with today's
MOST_NUMBERS, FIRST_SCREENS = 80, 60
WIDEST, LARGEST = 160, 60_000  # letters of a line outside tables; bytes of the picture
ADDRESS = re.compile(r"\]\([^)]*\)")  # of a link
NUMBER = re.compile(r"(?<![\w.])\d+(?:[.,]\d+)*")  # no digits of a name such as taylor1


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


def numbers(text: str) -> list[str]:
    """All numbers that a reader meets, also in code and tables, but for those in addresses of links."""
    return NUMBER.findall(ADDRESS.sub("]", text))


def test_numbers_are_counted_as_a_reader_meets_them() -> None:
    text = "[arXiv](https://arxiv.org/abs/2411.10510) `taylor1`, 2,048 of 0.5 ± 0.08 at 1.00x: 3-4\n```\nseed=0,1\n```"
    assert numbers(text) == ["2,048", "0.5", "0.08", "1.00", "3", "4", "0,1"]


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) - len(readme_parts.methods().splitlines()) <= MOST_LINES
    assert len(numbers(README)) <= MOST_NUMBERS, numbers(README)
    long = [line for line in README.splitlines() if len(ADDRESS.sub("]", line)) > WIDEST and line[:1] != "|"]
    assert not long


@pytest.mark.parametrize("word", ["site", "schedule", "policy", "`fd_nano`"])
def test_a_newcomer_reads_early_what_it_is(word: str) -> None:
    start = "\n".join(README.splitlines()[: FIRST_SCREENS - 1])
    assert re.search(rf"\*\*{word}\*\* (is|says)", start), (
        f"README defines **{word}** before line {FIRST_SCREENS}"
    )


@pytest.mark.parametrize("text", [README, LIBRARY], ids=["README", "library"])
def test_the_library_snippet_skips_something(text: str) -> None:
    scope: dict[str, Any] = {"pipe": tiny_dit_pipeline()}
    exec(blocks(text, "python")[0], scope)
    assert 0 < scope["run"].skipped_share < 1
    assert set(scope["run"].calls) == {site.name for site in scope["curves"].trajectory.sites}


def test_the_step_callback_tells_evaluations() -> None:
    pipe = tiny_ltx_pipeline()
    given = {"pipe": partial(video_latents, pipe, 6), "model": pipe.transformer, "arguments": {}}
    scope: dict[str, Any] = {**given, **{name: getattr(caching, name) for name in caching.__all__}}
    exec(next(code for code in blocks(LIBRARY, "python") if "run.step_callback" in code), scope)
    assert scope["run"].forwards == 6 and len(scope["schedule"].computed) == 6


def test_the_policy_is_one(curves: ErrorCurves) -> None:
    scope: dict[str, Any] = {"__name__": "late"}
    exec(blocks(README, "python")[1], scope)
    schedule = scope["Late"]().plan(curves.trajectory)
    assert [row[0] for row in schedule.computed] == [True] * 6 + [e % 2 == 0 for e in range(6, 12)]
    assert (scope["Late"].name, scope["Late"].version) == ("late", 1)
    node = yaml.safe_load(blocks(README, "yaml")[0])
    assert set(node) == {"policy", "predictor", "family", "label"}
    assert node["policy"] == {"_target_": "baselines.late.Late"}
    assert method_heads.LINE.fullmatch(blocks(README, "yaml")[0].split("\n")[0])


def test_the_table_is_that_of_the_published_results() -> None:
    assert summary(ROOT / "results/dit_ddim").strip() in (ROOT / "results/FINDINGS.md").read_text()


@pytest.mark.parametrize("name", list(readme_parts.PARTS))
def test_the_generated_parts_are_current(name: str) -> None:
    part = readme_parts.PARTS[name]()
    assert f"<!-- part {name} -->\n{part}\n\n" in README, "run: python -m docs.readme_parts"


@pytest.mark.slow
def test_a_readme_without_a_place_for_a_part_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for methods: a line <!-- part methods -->"):
        readme_parts.current(README.replace("<!-- part methods -->", ""))
    assert readme_parts.current(README) == README


def test_every_method_is_in_the_list() -> None:
    listed = readme_parts.methods()
    for path in (ROOT / "conf/cache").glob("*.yaml"):
        assert f"| `cache={path.stem}` |" in listed
    for name in ("reuse", "taylor1", "taylor4"):
        assert f"`{name}`" in listed or f"cache.predictor={name}`" in listed
    needs = {"fora": "nothing", "smoothcache": "calibration", "magcache": "calibration", "l2p": "calibration"}
    for method, what in {**needs, "l2c": "training (`stage=train`)"}.items():
        assert re.search(rf"`cache={method}` .* \| {re.escape(what)} \|", listed)


def test_the_picture_is_drawn_from_the_records() -> None:
    drawn = front_page.drawn_points()
    assert drawn == front_page.points(), "run: python -m docs.front_page, and look at it"
    assert all(len(rows) for lines in drawn.values() for rows in lines.values())
    assert front_page.PICTURE.stat().st_size <= LARGEST
    assert f"]({front_page.PICTURE.relative_to(ROOT)})" in README


def test_the_picture_shows_every_point_that_it_holds(tmp_path: Path) -> None:
    numbers_shown = front_page.points()
    left, right = front_page.draw(numbers_shown).axes
    for axes, score in ((left, front_page.QUALITY), (right, front_page.FIDELITY)):
        low, high = axes.get_ylim()
        for rows in numbers_shown[score].values():
            assert all(low <= value <= high for row in rows for value in row[1:])
        assert {text.get_text() for text in axes.texts} >= {line.label for line in front_page.LINES}
    assert front_page.drawn_points(front_page.write(tmp_path / "picture.png")) == numbers_shown


def commands() -> list[list[str]]:
    """The arguments of the runs that README and documents show, in lines or between backticks."""
    paths = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "results/FINDINGS.md"]
    texts = [README, *(path.read_text() for path in paths)]
    shown = [
        found
        for text in texts
        for found in re.findall(r"(?:^|`)python -m smoothbench (?!--help)([^#\n`]+)", text, re.M)
    ]
    return [
        list(map(quoted, shlex.split(line)))
        for line in dict.fromkeys(line.strip() for line in shown)
        if line not in OTHERS
    ]


OTHERS = ("cache=late", "+exp=NAME stage=cost")  # the example of a policy, and a template


@pytest.mark.parametrize("arguments", commands(), ids=" ".join)
@pytest.mark.slow
def test_what_the_readme_shows_is_taken(arguments: list[str]) -> None:
    overrides = [
        re.sub("^(seed|shard|cache.policy.alpha)=([^,]+),.*", r"\1=\2", each)
        for each in with_jobs(arguments)
        if each != "-m"
    ]
    assert "-m" in arguments or overrides == arguments
    checked(*overrides)
