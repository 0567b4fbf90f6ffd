"""Manifests, scores, rows, latency and samples that are damaged: the same command ends the same."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from smoothbench.errors import one_line
from smoothbench.media.codecs import Png
from smoothbench.report.data.frame import load
from smoothbench.running.experiment import Experiment
from smoothbench.running.todo import is_done
from smoothbench.storage.files import write_arrays
from smoothbench.storage.sample_files import Samples
from tests.support.compose import experiment
from tests.support.damaged_arrays import SEEDS, SOME, broken
from tests.support.damaged_records import DROP, JUNK, changed, places
from tests.support.runs import files, read, run

SMALL = ("num_samples=4", "only=[fora]", "metrics=[psnr,fd_nano]", "solver.steps=4")


def samples_in(folder: Path) -> Samples:
    """Of a dynamic policy, whose manifest tells what was executed."""
    return Samples(folder, "set", SEEDS, 2, Png(), ("blocks.0.ff", "blocks.1.ff"))


def write(samples: Samples, batch: Any) -> None:
    images = torch.full((2, 1, 4, 4), batch[0], dtype=torch.uint8)
    samples.write(batch, images, calls={"blocks.0.ff": 3, "blocks.1.ff": 4})


@pytest.fixture(scope="module")
def sample_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    samples = samples_in(folder)
    for batch in samples.batches():
        write(samples, batch)
    return folder


@given(data=st.data(), value=JUNK | st.sampled_from([DROP, 10**400, True, 2.5, -1]))
@effort(SOME, max_examples=30)
def test_any_manifest_is_right_or_not_believed(sample_folder: Path, data: st.DataObject, value: Any) -> None:
    path = sample_folder / "set/manifest.jsonl"
    original = path.read_bytes()
    content = [json.loads(line) for line in original.splitlines()]
    place = data.draw(st.sampled_from(places(content)))
    changed_lines = changed(content, place, value)
    broken_one = "".join(json.dumps(line) + "\n" for line in changed_lines).encode()
    for text in (broken_one, original[: data.draw(st.integers(0, len(original) - 4))]):
        try:
            path.write_bytes(text)
            believed_or_made_again(sample_folder)
        finally:
            path.write_bytes(original)


def believed_or_made_again(folder: Path) -> None:
    samples = samples_in(folder)
    assert samples.counted() or samples.missing()
    samples.damaged()
    assert all(0 <= count < 10**6 for count in samples.calls().values())
    for batch in samples.missing():
        write(samples, batch)
    after = samples_in(folder)
    assert not after.missing() and not after.damaged() and after.counted()
    assert [int(images[0, 0, 0, 0]) for _, images in after.read()] == [7, 9]


def test_a_folder_in_place_of_a_sample_is_missing(sample_folder: Path) -> None:
    file = sample_folder / "set" / f"{SEEDS[0]:09d}.png"
    data = file.read_bytes()
    file.unlink()
    file.mkdir()
    samples = samples_in(sample_folder)
    assert samples.missing() == [SEEDS[:2]] and not samples.damaged()
    file.rmdir()
    file.write_bytes(data)


@pytest.fixture(scope="module")
def smoke_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("arrays")
    run(folder, *SMALL)
    return folder


@pytest.fixture(scope="module")
def rerun(smoke_results: Path) -> Experiment:
    return experiment(smoke_results, *SMALL)


def longer(arrays: dict[str, Any]) -> dict[str, Any]:
    return {
        key: np.concatenate([values, values]) if key != "seeds" else values for key, values in arrays.items()
    }


SCORES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "no seeds": lambda arrays: {key: values for key, values in arrays.items() if key != "seeds"},
    "seeds as floats": lambda arrays: arrays | {"seeds": arrays["seeds"].astype(float)},
    "more numbers than seeds": longer,
    "text": lambda arrays: arrays | {"psnr@4": np.array(["a"] * 4)},
    "not finite": lambda arrays: arrays | {"psnr@4": arrays["psnr@4"] * np.nan},
    "a score less": lambda arrays: {key: values for key, values in arrays.items() if key != "psnr@4"},
}


@pytest.mark.parametrize("what", SCORES)
def test_scores_of_something_else_are_made_again(smoke_results: Path, rerun: Experiment, what: str) -> None:
    point = rerun.bench.points[1]
    path = rerun.store.scores_path(point.spec.name, point.point_id)
    original = path.read_bytes()
    assert is_done(rerun.bench, point)
    with np.load(path, allow_pickle=False) as data:
        write_arrays(path, SCORES[what](dict(data)))
    assert not is_done(rerun.bench, point)
    rerun.run()
    assert path.read_bytes() == original


@given(data=st.data())
@effort(SOME, max_examples=12)
def test_whatever_is_broken_the_run_ends_the_same(
    smoke_results: Path, rerun: Experiment, data: st.DataObject
) -> None:
    folder = smoke_results / "runs/smoke"
    kinds = ("observations/*/*.npz", "scores/*.npz", "samples/*/manifest.jsonl", "samples/*/*.png")
    found = [path for kind in kinds for path in sorted(folder.glob(kind))[:4]]
    path = data.draw(st.sampled_from(found))
    records, samples, original = read(smoke_results), files(smoke_results), path.read_bytes()
    path.write_bytes(data.draw(broken(original)))
    rerun.run()
    assert read(smoke_results) == records and files(smoke_results) == samples
    if path.suffix == ".npz" and path.read_bytes() != original:  # bytes that are no part of the content
        with np.load(path, allow_pickle=False) as left, np.load(io.BytesIO(original)) as right:
            assert {k: v.tobytes() for k, v in left.items()} == {k: v.tobytes() for k, v in right.items()}


@pytest.fixture(scope="module")
def latency_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("timed")
    run(folder, *SMALL, "stage=cost", "latency.rounds=2", "latency.batch_size=1")
    return folder


@given(data=st.data(), value=JUNK | st.just(DROP))
@effort(SOME, max_examples=30)
def test_any_change_of_the_latency_is_refused_or_shown(
    latency_results: Path, data: st.DataObject, value: Any
) -> None:
    path = latency_results / "runs/smoke/latency.json"
    original = path.read_bytes()
    content = json.loads(original)
    place = data.draw(st.sampled_from(places(content)))
    try:
        path.write_text(json.dumps(changed(content, place, value)))
        load(path.parent)
    except ValueError as error:
        assert str(error).endswith("measure latency again") and "\n" not in str(error)
    finally:
        path.write_bytes(original)


@pytest.mark.parametrize(
    "text", ["5", "[]", "null", '{"schema": 3}', '{"schema": 3, "points": 3}', "[" * 10**5, '{"schema": 3,']
)  # fmt: skip
def test_what_is_no_latency_is_one_clear_line(latency_results: Path, tmp_path: Path, text: str) -> None:
    shutil.copytree(latency_results / "runs/smoke/records", tmp_path / "records")
    (tmp_path / "latency.json").write_text(text)
    with pytest.raises(
        ValueError, match=r"latency.json .*: remove it, and with stage=latency measure latency again"
    ) as error:
        load(tmp_path)
    assert one_line(error.value) == str(error.value)
