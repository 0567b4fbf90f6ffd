"""Reports of video: filmstrips, animations and captions from WebP previews, and figures of six kinds of layers."""

import base64
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from smoothbench.config.expand import settings as planned
from smoothbench.media.codecs import Webp
from smoothbench.report import load, write
from smoothbench.report.data.groups import comparable_groups
from smoothbench.report.figures.clip_frames import FRAMES, POLICIES, read_film, spaced, spread
from smoothbench.report.figures.composition import composition
from smoothbench.report.figures.contact_sheet import with_previews
from smoothbench.report.figures.filmstrips import filmstrips
from smoothbench.report.figures.style import kind_colours
from smoothbench.report.page.html_page import page
from smoothbench.report.publish import publish
from tests.support.compose import composed
from tests.support.html_document import data_of, parsed, run, text_of, walk
from tests.support.study_folder import add, fixed

SIZE, STEP, SEEDS = 16, 5, 6  # pixels of a frame; grey levels from frame to frame; previews
CAPTIONS = {"0": "a red boot grows quickly", "1": "a <b>white</b> bag stands still"}
KINDS = [
    f"{dimension}_{branch}"
    for dimension in ("spatial", "temporal")
    for branch in ("self_attn", "cross_attn", "ff")
]


def clip(seed: int, offset: int = 0, frames: int = 12) -> torch.Tensor:
    """A clip that brightens by STEP from frame to frame; `offset` more grey levels throughout."""
    levels = 20 * seed + offset + STEP * torch.arange(frames)
    return levels.to(torch.uint8)[:, None, None, None].expand(frames, 3, SIZE, SIZE).contiguous()


def save(
    folder: Path, sample_id: str, offset: int = 0, frames: int = 12, seeds: Sequence[int] = range(SEEDS)
) -> None:
    for seed in seeds:
        path = folder / "previews" / sample_id / f"{seed:09d}.webp"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(Webp(8).encode(clip(seed, offset, frames)))


@pytest.fixture
def video_results(tmp_path: Path) -> Path:
    """A reference, fewer steps 8 levels brighter, and two points that share the reference's very clips."""
    folder = tmp_path / "nano" / "opensora"
    about: dict[str, Any] = {"reference_id": "a", "captions": CAPTIONS}
    add(folder, "no cache", fixed(12), order=0, sample_id="a", **about)
    add(folder, "fewer", fixed(6), 0.4, order=1, family="no cache", full_evals=12, sample_id="b", **about)
    add(folder, "same", fixed(12, 2), 0.2, order=2, sample_id="c", **about)
    add(folder, "equal", fixed(12, 2), 0.2, order=3, sample_id="c", same_as="same", **about)
    for sample_id, offset in (("a", 0), ("b", 8), ("c", 0)):
        save(folder, sample_id, offset)
    return folder


def report(folder: Path) -> str:
    return page([(part, {}) for _, part in comparable_groups(load(folder))], folder, [])


def animations(text: str) -> list[dict[str, str]]:
    return [node[1] for node in walk(parsed(text)) if node[1].get("class", "").startswith("clip ")]


def drawn(figure: Figure) -> list[np.ndarray[Any, Any]]:
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes]


def test_frames_of_a_clip_and_their_times(video_results: Path) -> None:
    assert [len(spaced(range(count))) for count in (1, 7, 8, 12, 16, 51)] == [1, 7, 8, 6, 8, 8]
    assert list(spaced(range(51))) == list(range(0, 51, 7)) and FRAMES == 8
    frames, times = read_film(video_results / "previews" / "b" / "000000002.webp")
    assert np.array_equal(frames, clip(2, 8).permute(0, 2, 3, 1).numpy())
    assert times == pytest.approx([i / 8 for i in range(12)], abs=1e-3)


def test_policies_below_each_other_and_how_far_they_are(video_results: Path) -> None:
    (video_results / "previews" / "c" / "000000001.webp").unlink()
    figure = filmstrips(load(video_results), video_results / "previews")
    # seed 0: clips and differences of three rows, seed 1: "c" has none, seed 2, and the scale
    pictures = drawn(figure)
    assert len(pictures) == 5 + 3 + 5 + 1
    reference, fewer, apart = pictures[:3]
    width = 80 + 3  # 16 pixels enlarged to 80, and a gap
    assert reference.shape == (80, 6 * width - 3, 3)
    assert [reference[40, i * width, 0] for i in range(6)] == [2 * STEP * i for i in range(6)]
    assert np.array_equal(fewer[:, :80].astype(int) - reference[:, :80], np.full((80, 80, 3), 8))
    # bright, and black where all is equal
    assert apart[40, 10].sum() > 100 and pictures[4][40, 10].sum() < 20
    texts = {text.get_text() for text in figure.texts}
    assert {"seed 0: a red boot grows quickly", "seed 2", "fewer", "same\n= equal", "identical"} <= texts
    assert f"{20 * np.log10(255 / 8):.1f} dB" in texts and "1.25 s" in texts
    assert not {"seed 3", "seed 0"} & texts


def test_without_the_reference_there_are_no_differences(video_results: Path) -> None:
    figure = filmstrips(load(video_results).assign(reference=False), video_results / "previews")
    assert len(figure.axes) == 9 and not any("dB" in text.get_text() for text in figure.texts)


def test_of_many_policies_a_spread_is_shown(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    add(folder, "no cache", fixed(12), order=0, sample_id="a", reference_id="a")
    save(folder, "a", seeds=[0])
    for order in range(1, 13):
        steps, family = 12 - (order - 1) // 2, ("no cache", "FORA")[order % 2]
        add(
            folder, f"{family} {steps}", fixed(steps), 0.1, order=order, family=family, sample_id=f"s{order}",
            full_evals=12, reference_id="a",
        )  # fmt: skip
        save(folder, f"s{order}", seeds=[0])
    found = with_previews(load(folder), folder / "previews", ".webp")
    shown = [part["label"].iloc[0] for part, _ in spread(found)]
    assert len(shown) == POLICIES and shown[0] == "no cache"
    assert {"FORA 7", "no cache 7", "FORA 8", "no cache 8"} <= set(shown), "half the cost, and the cheapest"
    forms = [name for name in shown if name.startswith("FORA")]
    assert forms == sorted(forms, key=lambda name: -int(name.split()[1])), "in the experiment's order"
    assert spread(found[:3]) == found[:3]


@pytest.mark.parametrize("broken", ["torn", "other", "empty"])
def test_clips_that_cannot_be_read_are_named(broken: str, video_results: Path) -> None:
    path = video_results / "previews" / "b" / "000000000.webp"
    whole = path.read_bytes()
    path.write_bytes({"torn": whole[: len(whole) // 2], "other": b"RIFFnothing", "empty": b""}[broken])
    with pytest.raises(ValueError, match=r"b/000000000.webp is no WebP file.*run the experiment again"):
        filmstrips(load(video_results), video_results / "previews")


def test_a_clip_of_another_length_is_named(video_results: Path) -> None:
    save(video_results, "b", frames=10)
    with pytest.raises(ValueError, match=r"b/000000000.webp has another shape than .*a/000000000.webp"):
        filmstrips(load(video_results), video_results / "previews")
    with pytest.raises(ValueError, match="run the experiment first"):
        filmstrips(load(video_results), video_results / "nowhere")


def test_animations_are_the_very_files_and_nothing_is_loaded(video_results: Path) -> None:
    text = report(video_results)
    root, shown = parsed(text), animations(text)
    assert [each["alt"] for each in shown[3:5]] == ["seed 0 of fewer", "seed 1 of fewer"] and len(shown) == 9
    held = base64.b64decode(shown[4]["src"].removeprefix("data:image/webp;base64,"))
    assert held == (video_results / "previews" / "b" / "000000001.webp").read_bytes()
    assert all(each["class"] == "clip pixels" and each["width"] == each["height"] == "128" for each in shown)
    sources = [node[1]["src"] for node in walk(root) if "src" in node[1]]
    assert all(source.startswith(("data:image/png;base64,", "data:image/webp;base64,")) for source in sources)
    assert "a &lt;b&gt;white&lt;/b&gt; bag stands still" in text
    ids = [node[1]["id"] for node in walk(root) if "id" in node[1]]
    assert len(ids) == len(set(ids)) and {each["clips"] for each in data_of(root)[0]["points"]} <= set(ids)
    assert len([node for node in walk(root) if node[1].get("class") == "strip"]) == 3
    assert any("time across" in text_of(node) for node in walk(root) if node[0] == "p")
    assert report(video_results) == text


@pytest.mark.parametrize("captions", ["a boot", {"first": "a boot"}, {"0": 1}, ["a boot"]])
def test_a_record_with_captions_of_another_kind_is_ignored(captions: Any, video_results: Path) -> None:
    add(video_results, "other", fixed(12, 3), 0.3, reference_id="a", captions=captions)
    [why] = load(video_results).attrs["ignored"]
    assert re.match(r"records/other-\w+\.json: its captions", why)


def test_the_point_under_the_mouse_moves_and_all_start_together(video_results: Path) -> None:
    shown = run(parsed(report(video_results)), """
      const marks = document.querySelectorAll("svg.chart g.point");
      marks.find((m) => m.getAttribute("aria-label").startsWith("fewer")).dispatch("pointerenter");
      const detail = document.querySelectorAll("div.detail")[0];
      const button = document.querySelectorAll("button.together")[0];
      const sources = () => document.querySelectorAll("img.clip").map((each) => each.getAttribute("src"));
      const before = sources();
      button.dispatch("click");
      const once = sources();
      button.dispatch("click");
      return {
        names: detail.querySelectorAll("img.clip").map((each) => each.getAttribute("alt")),
        hidden: button.hasAttribute("hidden"), before, once, twice: sources(),
      };""")  # fmt: skip
    assert shown["names"] == [f"seed {seed} of fewer" for seed in range(3)] and not shown["hidden"]
    assert len(shown["before"]) == 9 + 3
    for count, sources in ((1, shown["once"]), (2, shown["twice"])):
        assert all(source.startswith(f"data:image/webp;start={count};base64,") for source in sources)
        assert [re.sub(";start=[0-9]+", "", source) for source in sources] == shown["before"]


@pytest.mark.slow
def test_report_and_its_publication_are_alike(video_results: Path, tmp_path: Path) -> None:
    for path in (video_results / "records").glob(
        "*.json"
    ):  # without scores there are no plots, which take long
        path.write_text(json.dumps(json.loads(path.read_text()) | {"scores": {}}))
    names = {path.name for path in write(video_results)}
    assert "filmstrips.png" in names and not {"contact_sheet.png", "spectrograms.png"} & names
    assert "![filmstrips.png](filmstrips.png)" in (video_results / "report.md").read_text()
    target = tmp_path / "published"
    publish(video_results, target)
    kept = sorted(path.relative_to(target / "previews").as_posix() for path in target.glob("previews/*/*"))
    assert kept == [f"{each}/{seed:09d}.webp" for each in "abc" for seed in range(3)]
    for name in ("report.html", "report.md", "filmstrips.png"):
        assert (video_results / name).read_bytes() == (target / name).read_bytes()


def test_six_kinds_have_six_colours_in_pairs() -> None:
    colours = kind_colours(KINDS)
    assert len(set(colours.values())) == 6
    for i in range(3):
        spatial, temporal = (np.array(to_rgb(colours[kind])) for kind in (KINDS[i], KINDS[i + 3]))
        assert temporal.sum() > spatial.sum() + 0.3, "paler"
        assert np.allclose((1 - temporal) / (1 - spatial), (1 - temporal)[0] / (1 - spatial)[0], atol=0.02), (
            "one hue"
        )
    three = ["self_attn", "cross_attn", "ff"]
    assert list(kind_colours(three).values()) == [colours[f"spatial_{kind}"] for kind in three]


def test_the_legend_of_six_kinds_stays_in_the_picture(video_results: Path) -> None:
    for path in (video_results / "records").glob("*.json"):
        record = json.loads(path.read_text())
        record["cost"]["by_kind"] = dict.fromkeys(KINDS, record["cost"]["macs"] // 7) | {"rest": 1}
        path.write_text(json.dumps(record))
    figure = composition(load(video_results))
    figure.canvas.draw()
    [legend] = figure.legends
    first, second = (text.get_text() for text in legend.get_texts()[:2])
    assert (first, second) == ("spatial self attn", "temporal self attn")
    box = legend.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width and box.y0 >= 0


def test_the_nano_experiment_has_the_rivals_of_the_paper() -> None:
    specs = planned(composed("+exp=opensora_rflow")).specs
    fora, smooth = (
        [spec for spec in specs if f".{name}" in spec.policy["_target_"]] for name in ("FORA", "Smooth")
    )
    assert all(spec.calibration["k_max"] == 5 for spec in specs)
    assert [spec.policy["k_max"] for spec in smooth] == [5] * 9
    assert len(fora) == 5 and {spec.predictor for spec in fora} == {"reuse", "taylor1"}
    assert sorted(spec.solver["steps"] for spec in specs)[:5] == [8, 12, 15, 23, 30] and len(specs) == 19
