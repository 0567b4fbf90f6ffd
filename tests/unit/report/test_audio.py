"""Reports of audio: spectrograms and players from FLAC previews."""

import base64
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.image import AxesImage

from metrics.audio_distances import LogMelL1
from smoothbench.media.codecs import Flac, pcm
from smoothbench.report import load, write
from smoothbench.report.data.groups import comparable_groups
from smoothbench.report.figures.spectrograms import (
    LEVELS,
    SIZE,
    coloured,
    log_mel,
    loudest,
    mel,
    spectrograms,
    tile,
)
from smoothbench.report.page import players as listening
from smoothbench.report.page.html_page import page
from smoothbench.report.publish import publish
from tests.support.html_document import data_of, parsed, run, text_of, walk
from tests.support.study_folder import add, calibration, curves_of, fixed, smoothcache

RATE, SEEDS = 16_000, 6
MEDIA = Flac(RATE)


def sine(hertz: float, amplitude: float = 0.5, frames: int = 8192) -> torch.Tensor:
    return amplitude * torch.sin(2 * torch.pi * hertz * torch.arange(frames) / RATE)[None]


def save(folder: Path, sample_id: str, hertz: float, amplitude: float = 0.5) -> None:
    """Clips of a point: of each seed its own tone."""
    for seed in range(SEEDS):
        path = folder / "previews" / sample_id / f"{seed:09d}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(MEDIA.encode(pcm(sine(hertz * (1 + seed / 4), amplitude))))


@pytest.fixture
def audio_results(tmp_path: Path) -> Path:
    """A reference, fewer steps, and two points that share their samples; the louder clips are not the reference's."""
    folder = tmp_path / "nano" / "stable_audio"
    curves = curves_of(4)
    add(folder, "no cache", fixed(12), order=0, sample_id="a")
    add(folder, "fewer", fixed(6), 0.4, order=1, family="no cache", full_evals=12, sample_id="b")
    about: dict[str, Any] = {"calibration": calibration(folder, curves), "sample_id": "c"}
    add(folder, "alpha", smoothcache(curves, 0.2), 0.2, order=2, **about)
    add(folder, "same", smoothcache(curves, 0.2), 0.2, order=3, same_as="alpha", **about)
    for path in (folder / "records").glob("*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"reference_id": "a"}))
    for sample_id, hertz, amplitude in (("a", 500, 0.25), ("b", 1000, 0.25), ("c", 500, 0.9)):
        save(folder, sample_id, hertz, amplitude)
    return folder


def report(folder: Path) -> str:
    return page([(part, {}) for _, part in comparable_groups(load(folder))], folder, [])


def audio_of(text: str) -> list[dict[str, str]]:
    return [node[1] for node in walk(parsed(text)) if node[0] == "audio"]


def array(clip: torch.Tensor) -> np.ndarray[Any, Any]:
    return clip.T.double().numpy()


@pytest.mark.parametrize("hertz", [250.0, 1000.0, 6000.0])
def test_a_tone_is_bright_in_its_own_band(hertz: float) -> None:
    found = log_mel(array(sine(hertz)), RATE)
    band = int(found.mean(axis=1).argmax())
    edges = np.linspace(0, mel(RATE / 2), SIZE[1] + 2)
    assert edges[band] < mel(hertz) < edges[band + 2]
    # its power, up to the window
    assert found[band].mean() == pytest.approx(10 * np.log10(0.5**2 / 2), abs=3)
    quiet = [each for each in range(SIZE[1]) if abs(each - band) > 8]
    assert found[quiet].max() < found[band].min() - 40


def test_decibels_of_amplitude_and_channels() -> None:
    one = log_mel(array(sine(1000, 0.25)), RATE)
    assert log_mel(array(sine(1000, 0.5)), RATE).max() - one.max() == pytest.approx(
        20 * np.log10(2), abs=1e-6
    )
    half = log_mel(array(torch.cat([sine(1000, 0.25), torch.zeros(1, 8192)])), RATE)
    # a silent channel halves power
    assert one.max() - half.max() == pytest.approx(10 * np.log10(2), abs=1e-6)
    assert log_mel(np.zeros((10, 1)), RATE).max() == -200  # shorter than a window, and silent
    assert log_mel(array(sine(1000)), 44_100).shape[0] == SIZE[1]


def test_tiles_show_high_tones_above_and_one_scale(audio_results: Path) -> None:
    previews = audio_results / "previews"
    top = loudest(load(audio_results), previews)
    low, high = (tile(previews / each / "000000000.flac", top) for each in ("a", "b"))
    assert low.shape == (SIZE[1], SIZE[0]) and low.max() >= LEVELS - 2
    assert low.mean(1).argmax() > high.mean(1).argmax()  # rows count down
    loud = tile(previews / "c" / "000000000.flac", top)
    assert loud.mean() > low.mean(), "louder than the reference is brighter, not scaled away"
    assert tile(previews / "c" / "000000000.flac", top + 500).max() == 0
    assert loudest(load(audio_results).assign(reference=False), previews) > top + 6


def test_policies_by_seeds(audio_results: Path) -> None:
    (audio_results / "previews" / "b" / "000000002.flac").unlink()
    frame = load(audio_results)
    figure = spectrograms(frame, audio_results / "previews")
    panels = [axes for axes in figure.axes if isinstance(axes.images[0], AxesImage)]
    assert len(panels) == 3 + 1  # the scale
    shown = {text.get_text() for text in figure.texts}
    assert "alpha\n= same" in shown and "no cache" in shown
    assert {f"seed {seed}" for seed in (0, 1, 2, 3)} <= shown
    first, second = (np.asarray(axes.images[0].get_array()) for axes in panels[:2])
    top = loudest(frame, audio_results / "previews")
    wanted = coloured(tile(audio_results / "previews" / "a" / "000000001.flac", top))
    start = SIZE[0] + 5
    assert np.array_equal(first[:, start : start + SIZE[0]], wanted)
    assert set(np.unique(second[:, 2 * start : 2 * start + SIZE[0]])) == {236}, (
        "a seed that is lacking is blank"
    )
    assert [label.get_text() for label in panels[0].get_yticklabels()] == ["0.5", "1", "2", "4"]
    assert panels[2].get_xticklabels()[-1].get_text() == "0.512 s"


def test_clips_that_cannot_be_read_are_named(audio_results: Path) -> None:
    frame = load(audio_results)
    path = audio_results / "previews" / "b" / "000000000.flac"
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(ValueError, match=r"b/000000000.flac is no FLAC file.*run the experiment again"):
        spectrograms(frame, audio_results / "previews")
    path.write_bytes(MEDIA.encode(torch.zeros(1, 0, dtype=torch.int16)))
    with pytest.raises(ValueError, match=r"000000000.flac is (a clip without a frame|no FLAC file)"):
        spectrograms(frame, audio_results / "previews")
    with pytest.raises(ValueError, match="run the experiment first"):
        spectrograms(frame, audio_results / "nowhere")


def test_players_hold_the_very_files_and_nothing_is_loaded(audio_results: Path) -> None:
    text = report(audio_results)
    root, players = parsed(text), audio_of(text)
    assert len(players) == 3 * 3 and all(each["preload"] == "none" and "controls" in each for each in players)
    assert players[0]["aria-label"] == "seed 0 of no cache" and players[8]["aria-label"].endswith(
        "alpha = same"
    )
    clip = base64.b64decode(players[4]["src"].removeprefix("data:audio/flac;base64,"))
    assert clip == (audio_results / "previews" / "b" / "000000001.flac").read_bytes()
    sources = [node[1]["src"] for node in walk(root) if "src" in node[1]]
    assert all(source.startswith(("data:image/png;base64,", "data:audio/flac;base64,")) for source in sources)
    assert "default-src 'none'; img-src data:; media-src data:;" in text
    ids = [node[1]["id"] for node in walk(root) if "id" in node[1]]
    assert len(ids) == len(set(ids)) and {each["clips"] for each in data_of(root)[0]["points"]} <= set(ids)
    assert len([node for node in walk(root) if node[1].get("class") == "strip"]) == 3
    assert any(text_of(node).startswith("Log-mel spectrograms") for node in walk(root) if node[0] == "p")
    assert report(audio_results) == text


@pytest.mark.parametrize(("seconds", "players"), [(24, 2), (40, 1), (75, 0)])
def test_large_clips_leave_seeds_out(seconds: int, players: int, audio_results: Path) -> None:
    """16 bits of noise at 16 kHz, stereo, do not compress: 62.5 KiB a second."""
    noise = torch.randint(-(2**15), 2**15, (2, seconds * RATE), generator=torch.Generator().manual_seed(0))
    data = MEDIA.encode(noise.to(torch.int16))
    files = sorted(audio_results.glob("previews/*/*.flac"))
    for path in files:
        path.write_bytes(data)
    [(_, frame)] = comparable_groups(load(audio_results))
    text = listening.players(0, frame, audio_results)
    found = audio_of(f"<div>{text}</div>")
    assert len(found) == 3 * players and len(text) < 17e6
    assert ("Too large for this page" in text) == (players == 0)


def test_the_point_under_the_mouse_is_heard(audio_results: Path) -> None:
    shown = run(parsed(report(audio_results)), """
      const marks = document.querySelectorAll("svg.chart g.point");
      marks.find((m) => m.getAttribute("aria-label").startsWith("fewer")).dispatch("pointerenter");
      const detail = document.querySelectorAll("div.detail")[0], players = detail.querySelectorAll("audio");
      const paused = [], all = document.querySelectorAll("audio");
      all.forEach((each, i) => { each.pause = () => paused.push(i); });
      document.dispatch("play", { target: players[1] });
      return {
        names: players.map((p) => p.getAttribute("aria-label")),
        images: detail.querySelectorAll("img").map((i) => i.getAttribute("class")),
        going: all.map((each, i) => i).filter((i) => !paused.includes(i)).map((i) => all[i] === players[1]),
      };""")  # fmt: skip
    assert shown["names"] == [f"seed {seed} of fewer" for seed in range(3)]
    assert shown["images"] == ["strip", "raster"] and shown["going"] == [True]


@pytest.mark.slow
def test_report_and_its_publication_are_alike(audio_results: Path, tmp_path: Path) -> None:
    for path in (audio_results / "records").glob(
        "*.json"
    ):  # without scores there are no plots, which take long
        path.write_text(json.dumps(json.loads(path.read_text()) | {"scores": {}, "calibration": None}))
    names = {path.name for path in write(audio_results)}
    assert "spectrograms.png" in names and "contact_sheet.png" not in names
    assert "![spectrograms.png](spectrograms.png)" in (audio_results / "report.md").read_text()
    target = tmp_path / "published"
    publish(audio_results, target)
    kept = sorted(path.relative_to(target / "previews").as_posix() for path in target.glob("previews/*/*"))
    assert kept == [f"{each}/{seed:09d}.flac" for each in "abc" for seed in range(3)]
    for name in ("report.html", "report.md", "spectrograms.png"):
        assert (audio_results / name).read_bytes() == (target / name).read_bytes()


def test_decibels_of_a_sine_of_full_scale() -> None:
    """As the docstrings of the two log-mel spectrograms have it."""
    time = torch.arange(44_100, dtype=torch.float64) / 44_100
    metric, metric_decibels, drawn_decibels = LogMelL1(44_100), [], []
    for hertz in np.geomspace(40, 21_000, 100):
        sine = torch.sin(2 * math.pi * hertz * time)
        metric_decibels.append(float(metric._decibels(sine[None])[..., 5:-5].max()))
        drawn_decibels.append(log_mel(sine.numpy()[:, None], 44_100).max())
    assert -7 < min(metric_decibels) < -4 and 5.5 < max(metric_decibels) < 6.2
    assert -4.7 < min(drawn_decibels) < max(drawn_decibels) < -1.2
