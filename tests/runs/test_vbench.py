"""Real VBench: the folder that it reads, its results, its total, and both in the report."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smoothbench import papers
from smoothbench.interop.vbench.__main__ import main
from smoothbench.interop.vbench.totals import DIMENSIONS, read_results, totals
from smoothbench.media.codecs import Webp
from smoothbench.models.base.prompts import Prompts
from smoothbench.report import load
from smoothbench.report.publish import publish
from smoothbench.report.tables.vbench_table import tables
from smoothbench.storage.sample_files import Samples
from tests.support.clips import clips
from tests.support.report_folder import build, edit, record, save

POINT, OTHER = "fora-n=2", "fora-n=3"
PROMPTS = ("a  cat, in a still frame", "a bird and a cat", "a dog's walk")
LISTING = [
    {"prompt_en": "a cat, in a still frame", "dimension": ["temporal_flickering"]},
    {"prompt_en": "a bird and a cat", "dimension": ["multiple_objects", "overall_consistency"]},
    {
        "prompt_en": "a dog's walk ",
        "dimension": ["subject_consistency", "motion_smoothness", "dynamic_degree"],
    },
]
VALUES = {name: 0.3 + 0.04 * place for place, name in enumerate(DIMENSIONS)}


@pytest.fixture(scope="module")
def sampled_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with one point of eight clips, from three prompts in turn."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "prompts.txt").write_text("\n".join([*PROMPTS, "kept for calibration"]))
    node = {"_target_": "smoothbench.models.base.prompts.Prompts", "file": str(folder / "prompts.txt")}
    made = record(6, 8, (0, 8)) | {"config": {"model": {"prompts": node}}, "per_block": 8}
    made["model"] |= {"prompts_sha256": Prompts(str(folder / "prompts.txt")).digest()}
    save(folder, made)
    samples = Samples(folder / "samples", made["sample_id"], range(8), 8, Webp(24))
    samples.write(range(8), clips(8)[:, :5])
    return folder


def listing(folder: Path, content: Any = LISTING) -> str:
    path = folder / "VBench_full_info.json"
    path.write_text(json.dumps(content))
    return str(path)


def results(folder: Path, values: dict[str, Any], name: str = "all") -> str:
    """A file as VBench writes it."""
    videos = [{"video_path": f"{i}.mp4", "video_results": 0.5} for i in range(3)]
    path = folder / f"{name}_eval_results.json"
    path.write_text(json.dumps({dimension: [value, videos] for dimension, value in values.items()}))
    return str(path)


def test_a_folder_for_each_dimension(
    sampled_results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "videos"
    assert main(["export", str(sampled_results), POINT, str(target), "--prompts", listing(tmp_path)]) == 0
    names = sorted(str(path.relative_to(target)) for path in target.rglob("*.*"))
    assert names == sorted(
        [f"temporal_flickering/a cat, in a still frame-{i}.mp4" for i in range(3)]
        + [f"multiple_objects/a bird and a cat-{i}.mp4" for i in range(3)]
        + [f"overall_consistency/a bird and a cat-{i}.mp4" for i in range(3)]
        + [f"subject_consistency/a dog's walk -{i}.mp4" for i in range(2)]
    )
    printed = capsys.readouterr().out.replace(str(target), "T")
    assert "11 videos of 3 prompts" in printed and "2 prompts have fewer than 5 videos" in printed
    assert (
        "temporal_flickering have fewer than 25" in printed
        and "static_filter --videos_path T/temp" in printed
    )


def test_the_videos_are_the_clips_of_their_seeds(sampled_results: Path, tmp_path: Path) -> None:
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    target = tmp_path / "custom"
    assert main(["export", str(sampled_results), POINT, str(target)]) == 0
    prompts = json.loads((target / "prompts.json").read_text())
    expected = [" ".join(PROMPTS[seed % 3].split()) for seed in range(8)]
    assert [" ".join(prompts[f"{seed:09d}.mp4"].split()) for seed in range(8)] == expected
    assert sorted(path.name for path in (target / "videos").iterdir()) == sorted(prompts)
    reader = imageio_ffmpeg.read_frames(str(target / "videos" / "000000005.mp4"))
    about = next(reader)
    frames = np.stack([np.frombuffer(frame, np.uint8) for frame in reader]).reshape(-1, 32, 32, 3)
    wanted = clips(1, first=5)[0, :5].permute(0, 2, 3, 1).numpy()
    assert about["fps"] == 24 and frames.shape == wanted.shape
    assert np.abs(frames.astype(float).mean(3) - wanted.astype(float).mean(3)).mean() < 4


def test_what_cannot_be_exported_is_one_line(
    sampled_results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*more: str, point: str = POINT, target: Path = tmp_path / "out") -> str:
        assert main(["export", str(sampled_results), point, str(target), *more]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1 and lines[0].startswith("error: ")
        return lines[0]

    assert "0 points are called other" in refused(point="other")
    assert "is not empty" in refused(target=tmp_path.parent)
    assert "prompt 'a bird and a cat' is not in VBench's list" in refused(
        "--prompts", listing(tmp_path, LISTING[:1]), target=tmp_path / "short"
    )
    assert "has a dimension 'Camera_Motion', not of VBench 1" in refused(
        "--prompts", listing(tmp_path, [{"prompt_en": "a", "dimension": ["Camera_Motion"]}])
    )
    assert "can be no file's name" in refused(
        "--prompts", listing(tmp_path, [{"prompt_en": "a/b", "dimension": ["color"]}])
    )
    assert "give its VBench_full_info.json" in refused("--prompts", str(tmp_path / "none.json"))
    words = sampled_results / "prompts.txt"
    text = words.read_text()
    words.write_text(text + "\nanother")
    assert "its list of prompts has changed since" in refused()
    words.write_text(text)
    clip = next((sampled_results / "samples").rglob("000000003.webp"))
    data = clip.read_bytes()
    clip.write_bytes(data[:-9])
    assert "some are deleted or damaged" in refused()
    clip.write_bytes(data)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "mp4 needs the package imageio-ffmpeg: pip install" in refused()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"Camera_Motion": [0.5, [{}]]}, "Camera_Motion is a dimension of VBench-2.0"),
        ({"i2v_subject": [0.5, [{}]]}, "i2v_subject is a dimension of VBench++, image to video"),
        ({"beauty": [0.5, [{}]]}, "beauty is none of its 16 dimensions"),
        ({"color": 0.5}, "its color is not a value and a list of videos"),
        ({"color": [0.5, []]}, "its color is not a value and a list of videos"),
        ({"color": [True, [{}]]}, "its color is true, not a number"),
        (
            {"imaging_quality": [64.2, [{}]]},
            "its imaging_quality is 64.2, not a share of 1: another version's scale",
        ),
        ({"color": [float("nan"), [{}]]}, "not a finite number"),
        ([0.5], "it is no object of dimensions"),
        ({}, "it is no object of dimensions"),
    ],
)
def test_a_result_file_of_another_version_is_one_line(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "x_eval_results.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=str(path)) as error:
        read_results([path])
    assert message in str(error.value) and "no results of VBench 1" in str(error.value)


def test_files_of_two_evaluations_do_not_mix(tmp_path: Path) -> None:
    first, second = (Path(results(tmp_path, {"color": value}, str(value))) for value in (0.5, 0.6))
    assert read_results([first, first])["color"] == (0.5, 3)
    with pytest.raises(ValueError, match="another file has another color"):
        read_results([first, second])


@pytest.fixture
def two_point_results(tmp_path: Path) -> Path:
    """A results folder of two points beside the reference, with what the paper says of Open-Sora."""
    built = build(tmp_path / "results", [0, 6, 7], names=("psnr@256",))
    for name, row in ((POINT, "rf30-nocache"), (OTHER, "rf30-alpha0.02")):
        edit(built, name, per_block=256, reported=papers.row(f"smoothcache/2/{row}").to_json())
    return built


def test_imported_results_stand_in_the_report(
    two_point_results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not tables(load(two_point_results))
    parts = [dict(list(VALUES.items())[:9]), dict(list(VALUES.items())[9:])]
    files = [results(tmp_path, part, f"part{i}") for i, part in enumerate(parts)]
    assert main(["import", str(two_point_results), POINT, *files]) == 0
    total = totals(VALUES).total
    assert f"total {total:.4f}" in capsys.readouterr().out
    assert main(["import", str(two_point_results), OTHER, files[0]]) == 0
    assert "incomplete, so without a total; missing: color" in capsys.readouterr().out.replace(
        "human_action, ", ""
    )
    sums, dimensions = (each.table() for each in tables(load(two_point_results)))
    assert sums["reported"].tolist() == ["0.7936 \u00b1 0.0019", "0.7876 \u00b1 0.0038"]
    assert sums["total"].tolist() == [f"{total:.4f}", "-"] and sums["dimensions"].tolist() == [
        "16 of 16",
        "9 of 16",
    ]
    assert sums["difference"].tolist() == [f"{total - 0.7936:+.4f}", "-"]
    assert dimensions.iloc[:, 1].tolist() == [f"{value:.4f}" for value in VALUES.values()]
    published = tmp_path / "published"
    publish(two_point_results, published)
    for page in ("report.md", "report.html"):
        text = (published / page).read_text()
        assert "VBench (imported)" in text and f"{total:.4f}" in text
        assert "VBench would count a missing dimension as 0" in text
    assert len(list((published / "vbench").iterdir())) == 2
    assert tables(load(published))[0].table().equals(sums)


def test_a_damaged_import_is_named_and_left_out(two_point_results: Path, tmp_path: Path) -> None:
    assert main(["import", str(two_point_results), POINT, results(tmp_path, VALUES)]) == 0
    path = next((two_point_results / "vbench").iterdir())
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 7'))
    frame = load(two_point_results)
    assert not tables(frame)
    assert frame.attrs["ignored"] == [
        f"vbench/{path.name}: its schema is '7', this version reads 1: import it again"
    ]
    assert main(["import", str(two_point_results), "none", str(path)]) == 2
