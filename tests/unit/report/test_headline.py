"""The picture that a report opens with, and vector copies of drawings."""

from pathlib import Path

import numpy as np
import pytest

from smoothbench.report import load, write
from smoothbench.report.figures.headline import headline
from smoothbench.report.figures.panel import panel_of, tells_apart
from smoothbench.report.figures.pareto_plot import pareto
from smoothbench.report.figures.singled_out import MOST
from tests.support.report_folder import build, plans


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("results"), range(len(plans())))


def test_two_scores_against_macs_and_time(results: Path) -> None:
    axes = headline(load(results)).axes
    assert [one.get_title("left") for one in axes] == ["nearness: psnr@256", "quality: fd_nano@256"] * 2
    assert "MACs" in axes[0].get_xlabel() and "latency" in axes[2].get_xlabel()
    names = {text.get_text() for text in axes[0].texts}
    assert {"FORA", "SmoothCache", "no cache"} <= names


def test_a_paired_score_is_drawn_as_its_difference_to_the_reference(results: Path) -> None:
    frame = load(results)
    panel = panel_of(frame, "fd_nano@256", "macs")
    row = panel.rows.index[panel.rows["label"] == "FORA N=3"][0]
    expected = frame.set_index("label").loc["FORA N=3"]
    assert panel.paired and panel.y[row] == expected["fd_nano@256.delta"]
    assert (panel.low[row], panel.high[row]) == (
        expected["fd_nano@256.delta.low"], expected["fd_nano@256.delta.high"],
    )  # fmt: skip
    star = panel.rows["reference"].to_numpy(dtype=bool)
    assert panel.y[star] == 0 and not panel_of(frame, "psnr@256", "macs").paired


def test_a_score_without_any_difference_tells_nothing_apart(results: Path) -> None:
    frame = load(results)
    assert tells_apart(frame, "fd_nano@256") and tells_apart(frame, "psnr@256")
    assert not tells_apart(frame.assign(**{"fd_nano@256.delta.p.holm": 1.0}), "fd_nano@256")
    ends = {"psnr@256.low": 0.0, "psnr@256.high": 99.0}
    assert not tells_apart(frame.assign(**ends), "psnr@256")


def test_of_many_families_those_that_are_named_have_a_colour(results: Path) -> None:
    frame = load(results)
    names = [f"family {i}" if i else "no cache" for i in range(MOST + 3)]
    frame = frame.assign(family=np.resize(names, len(frame)))
    frame.loc[frame["reference"].astype(bool), "family"] = "no cache"
    texts = {text.get_text() for text in headline(frame, ["family 3"]).axes[0].texts}
    assert "family 3" in texts and "family 4" not in texts
    (legend,) = [axes.get_legend() for axes in pareto(frame, families=["family 3"]).axes if axes.get_legend()]
    entries = [text.get_text() for text in legend.get_texts()]
    assert entries[:3] == ["no cache", "family 3", f"{MOST + 1} more families"]


def test_a_useless_point_of_a_family_in_colour_does_not_flatten_the_others(results: Path) -> None:
    frame = load(results)
    done, reference = frame["status.quality"] == "done", frame["reference"].astype(bool)
    places = [*frame.index[done & ~reference]]
    frame.loc[places, "family"] = [f"family {i % (MOST + 2)}" for i in range(len(places))]
    frame.loc[reference, "family"] = "no cache"
    fewest, useless = places[-1], places[0]
    frame.loc[fewest, "family"] = "no cache"
    ends = ["fd_nano@256.delta", "fd_nano@256.delta.low", "fd_nano@256.delta.high"]
    frame.loc[fewest, ends] = [0.4, 0.3, 0.5]
    frame.loc[useless, ends] = [1000.0, 999.0, 1001.0]
    quality = headline(frame, ["family 0", "family 1"]).axes[1]
    assert 0.5 < quality.get_ylim()[1] < 100


@pytest.mark.slow
def test_vector_copies_are_made_where_they_are_asked_for(results: Path) -> None:
    assert {path.suffix for path in write(results, vector=True)} >= {".png", ".svg"}
    assert (results / "headline.svg").exists() and not (results / "schedules.svg").exists()
    write(results)
    assert not list(results.glob("*.svg")), "an old drawing would show other records"
    text = (results / "report.md").read_text()
    assert text.index("(headline.png)") < text.index("- Points:")


def test_every_family_in_colour_has_its_name_in_every_panel_even_in_a_crowd(results: Path) -> None:
    frame = load(results)
    done = frame["status.quality"] == "done"
    crowd = frame[done & (frame["reference"].astype(bool) | frame["share"].between(0.3, 0.6))].copy()
    others = ~crowd["reference"].astype(bool)
    crowd.loc[others, "family"] = [f"a family with a long name {i % MOST}" for i in range(others.sum())]
    crowd.loc[others, "psnr@256"] = 30 + 0.01 * np.arange(others.sum())
    names = set(crowd.loc[others, "family"])
    assert len(names) == MOST
    for axes in headline(crowd).axes:
        assert names <= {text.get_text() for text in axes.texts}, axes.get_title("left")
