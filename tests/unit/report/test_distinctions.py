"""Whatever is part of what a point is, and differs within a folder, stands in its table's heading."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure

from smoothbench.report import summary
from smoothbench.report.data.distinctions import LINES, distinction
from smoothbench.report.data.frame import load
from smoothbench.report.data.groups import comparable_groups
from smoothbench.report.document import group_title
from smoothbench.report.figures.composition import composition
from smoothbench.report.figures.pareto_plot import pareto
from smoothbench.report.figures.schedule_raster import schedules
from smoothbench.report.figures.style import styled
from smoothbench.report.tables.latex import to_latex
from smoothbench.report.tables.point_tables import numbers
from smoothbench.report.write import write
from tests.support.report_folder import CALIBRATION, record, save_curves
from tests.support.two_tables import PLAIN, SOLVER, add, weighted


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    """The same experiment with weights A and with weights B."""
    for letter in "ab":
        add(tmp_path, letter, **weighted(letter))
    return tmp_path


def titles(folder: Path) -> list[str]:
    return sorted(group_title(part) for _, part in comparable_groups(load(folder)))


@pytest.mark.slow
def test_two_checkpoints_have_headings_of_their_own_everywhere(checkpoints: Path) -> None:
    paths = write(checkpoints)
    said = [f"weights checkpoints/{letter} ({letter * 8})" for letter in "ab"]
    texts = {path.name: path.read_text() for path in paths if path.suffix in (".md", ".html", ".tex")}
    headings = re.findall(r"^## (.*)", texts["report.md"], re.M)
    page = re.findall(r"<h2>(.*?)</h2>", texts["report.html"])
    links = re.findall(r'<li><a href="#part-\d">(.*?)</a>', texts["report.html"])
    printed = [line for line in summary(checkpoints).splitlines() if line.startswith("dit_ddim:")]
    tables = [text.splitlines()[0] for name, text in texts.items() if name.endswith(".tex")]
    for found in (headings, page, links, printed, tables):
        assert len(found) == 2
        assert sorted(text in heading for text in said for heading in found) == [False, False, True, True]


@pytest.mark.slow
def test_pictures_say_which_checkpoint_they_show_and_show_one(checkpoints: Path) -> None:
    drawn = [
        path for path in write(checkpoints, vector=True) if path.suffix == ".svg" and "pareto" in path.name
    ]
    texts = [re.sub(r"<[^>]*>", "", path.read_text()) for path in drawn]
    assert len(texts) == 2
    for _, part in comparable_groups(load(checkpoints)):
        figure = pareto(part)
        title, more = figure.get_suptitle().split("\n")
        assert "dit_nano, ddim" in title and more == distinction(part.iloc[0]) and "checkpoints/" in more
        assert len(set(part["identity"])) == 1


@pytest.mark.parametrize("draw", [schedules, pareto, composition])
@pytest.mark.parametrize("path", ["checkpoints/a", f"/data/{'checkpoints/' * 7}run"])
@pytest.mark.filterwarnings("error::UserWarning")  # matplotlib's, where a layout does not fit
@pytest.mark.slow
def test_a_long_heading_fits_above_a_picture(
    tmp_path: Path, draw: Callable[[pd.DataFrame], Figure], path: str
) -> None:
    many = {f"setting_{i}": "x" * 12 for i in range(30)}
    model = {"weights_sha256": "a" * 64, "vae_sha256": "c" * 64, "text_encoder_sha256": "d" * 64, **many}
    add(tmp_path, "a", model=model, config={"model": {"path": path, "vae": path, "text": path}})
    add(tmp_path, "b", **weighted("b"))
    for _, part in comparable_groups(load(tmp_path)):
        for each in (part, part[part["label"] == "FORA N=3"]):
            if draw is schedules or len(each) == len(part):
                check_title(draw(each))


def check_title(figure: Figure) -> None:
    """Of a few lines, within the picture, above the panels and beside no legend; so is what stands below."""
    with styled():
        figure.draw_without_rendering()
    title, below, page = figure._suptitle, figure._supxlabel, figure.bbox  # type: ignore[attr-defined]
    box = title.get_window_extent()
    assert title.get_text().count("\n") <= LINES + 1
    for text in filter(None, (title, below)):
        inside = text.get_window_extent()
        assert inside.x0 >= page.x0 and inside.x1 <= page.x1 and inside.y1 <= page.y1 and inside.y0 >= page.y0
    for axes in figure.axes:
        if axes.axison:
            assert axes.get_tightbbox().y1 <= box.y0 and axes.get_window_extent().height > 20
    assert not any(box.overlaps(legend.get_window_extent()) for legend in figure.legends)


def test_a_folder_of_one_table_reads_as_ever(tmp_path: Path) -> None:
    add(tmp_path, "a", **weighted("a"))
    frame = load(tmp_path)
    assert titles(tmp_path) == ["dit_nano, ddim 50 steps, guidance 2, N = 256"]
    assert list(frame["label"]) == ["no cache, 50 steps", "FORA N=1", "FORA N=3"]
    assert (
        not {"distinction", "facts", "facts.model"} & set(numbers(frame)) and distinction(frame.iloc[0]) == ""
    )
    assert "config_hash" not in numbers(frame).to_csv()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": {"dtype": "bfloat16"}}, ("dtype float32", "dtype bfloat16")),
        ({"model": {"model_numerics": "diffusers"}}, ("", "model_numerics diffusers")),
        ({"model": {"architecture": {"num_layers": 6}}}, ("", "architecture.num_layers 6")),
        ({"model": {"vae_sha256": "c" * 64}, "config": {"model": {"vae": "my/vae"}}}, ("", "vae my/vae (cccccccc)")),
        (
            {"model": {"prompts_sha256": "d" * 64}, "config": {"model": {"prompts": {"file": "new.txt"}}}},
            ("", "prompts new.txt (dddddddd)"),
        ),
        ({"seeds": [[1000, 1256]]}, ("seeds 0-255", "seeds 1000-1255")),
        ({"provenance": {"kind": "cuda"}}, ("device cpu", "device cuda")),
        ({"config": {"solver": SOLVER | {"eta": 1.0}}}, ("eta 0", "eta 1")),
        ({"config": {"solver": SOLVER | {"numerics": "diffusers"}}}, ("", "numerics diffusers")),
        ({}, ("reference ", "reference ")),  # nothing that the records tell, but another pair
    ],
)  # fmt: skip
def test_other_facts_stand_in_the_heading(
    tmp_path: Path, changes: dict[str, Any], said: tuple[str, str]
) -> None:
    add(tmp_path, "a", config={"solver": SOLVER})
    add(tmp_path, "b", **{"config": {"solver": SOLVER}} | changes)
    base = "dit_nano, ddim 50 steps, guidance 2, N = 256"
    found = titles(tmp_path)
    assert len(set(found)) == 2 and all(title.startswith(base) for title in found)
    assert all(any(text in title for title in found) for text in said)
    assert all(len(title) < len(base) + 60 for title in found)


def test_what_a_heading_says_already_is_not_said_twice(tmp_path: Path) -> None:
    add(tmp_path, "a")
    add(tmp_path, "b", model={"guidance": 4.0})
    assert titles(tmp_path) == [f"dit_nano, ddim 50 steps, guidance {g}, N = 256" for g in (2, 4)]
    assert sorted(distinction(part.iloc[0]) for _, part in comparable_groups(load(tmp_path))) == [
        "guidance 2",
        "guidance 4",
    ]


def test_a_setting_that_was_left_out_elsewhere_is_named(tmp_path: Path) -> None:
    add(tmp_path, "a", config={"solver": PLAIN})
    add(tmp_path, "b", config={"solver": PLAIN | {"numerics": "diffusers"}})
    base = "dit_nano, ddim 50 steps, guidance 2, N = 256"
    assert titles(tmp_path) == [base, f"{base}, numerics diffusers"]


def test_the_settings_of_other_solvers_and_models_do_not_compare(tmp_path: Path) -> None:
    add(tmp_path, "a", config={"solver": SOLVER})
    other = {"_target_": "mine.Euler", "rho": 7.0}
    add(tmp_path, "b", solver={"name": "euler"}, config={"solver": other})
    assert titles(tmp_path) == [
        f"dit_nano, {name} 50 steps, guidance 2, N = 256" for name in ("ddim", "euler")
    ]


def test_latex_says_in_its_comment_which_setting_it_is(checkpoints: Path) -> None:
    heads = [to_latex(part).splitlines()[0] for _, part in comparable_groups(load(checkpoints))]
    assert [head for head in heads if "checkpoints/a" in head] and len(set(heads)) == 2
    assert all("(seeds 0-255), weights " in head for head in heads)


@pytest.mark.slow
def test_a_study_of_two_checkpoints_mixes_nothing(tmp_path: Path) -> None:
    save_curves(tmp_path)
    for letter in "ab":
        add(
            tmp_path,
            letter,
            (0, 13),
            experiment="calibration_size",
            schedule=record(13, 256, (0, 256))["schedule"] | {"meta": {"alpha": 0.04}},
            calibration=CALIBRATION,
            **weighted(letter),
        )
    names = {path.name for path in write(tmp_path)}
    assert len([name for name in names if re.fullmatch(r"calibration_size.*\.png", name)]) == 2
    headings = re.findall(r"^## Calibration size.*", (tmp_path / "report.md").read_text(), re.M)
    assert sorted("checkpoints/a" in heading for heading in headings) == [False, True]
    assert (tmp_path / "report.html").read_text().count('<section class="figures">') == 2
