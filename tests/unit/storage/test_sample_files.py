"""The files of a point's samples and their manifest: after any interruption they end with the same bytes."""

import json
import zipfile
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from smoothbench.media.codecs import Png
from smoothbench.storage import sample_packs
from smoothbench.storage.sample_files import Samples

SEEDS = range(200, 345)  # an archive and what is left
SITES = ["blocks.0.ff"]


@pytest.fixture(scope="module", autouse=True)
def archives_of_a_hundred() -> Iterator[None]:
    """Small archives, for the sake of time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample_packs, "PACKED", 100)
        yield


def samples_in(folder: Path, seeds: Sequence[int] = SEEDS, sites: Sequence[str] = ()) -> Samples:
    return Samples(folder, "set", seeds, 16, Png(), sites)


def images(batch: Sequence[int]) -> Tensor:
    levels = torch.tensor([[seed % 256, seed // 256] for seed in batch], dtype=torch.uint8)
    return levels[:, None, None, :]


def drawn(samples: Samples) -> Samples:
    """What is missing is drawn as a run draws it."""
    for batch in samples.missing():
        samples.write(batch, images(batch))
    samples.close()
    return samples


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "set").iterdir()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of an undisturbed run."""
    folder = tmp_path_factory.mktemp("whole")
    drawn(samples_in(folder))
    return content(folder)


def put(folder: Path, files: dict[str, bytes]) -> Path:
    (folder / "set").mkdir(parents=True)
    for name, data in files.items():
        (folder / "set" / name).write_bytes(data)
    return folder


def test_calls_of_half_an_evaluation_are_read_again(tmp_path: Path) -> None:
    samples = samples_in(tmp_path, range(2), SITES)
    samples.write(range(2), images(range(2)), calls={"blocks.0.ff": 3.5})
    again = samples_in(tmp_path, range(2), SITES)
    assert again.calls() == {"blocks.0.ff": 3.5} and again.counted() and not again.missing()


def test_a_batch_adds_a_line_and_leaves_the_others(tmp_path: Path) -> None:
    samples, path, sizes = samples_in(tmp_path, range(80)), tmp_path / "set/manifest.jsonl", [0]
    inode = None
    for batch in samples.batches():
        before = path.read_bytes() if path.exists() else b""
        samples.write(batch, images(batch))
        assert path.read_bytes().startswith(before) and inode in (None, path.stat().st_ino)
        inode = path.stat().st_ino
        sizes.append(path.stat().st_size)
    steps = {after - before for before, after in pairwise(sizes)}
    assert max(steps) - min(steps) < 4, "digits of the first seed alone"
    samples.close()
    assert path.stat().st_ino == inode, "lines that are in order are not written again"


def test_a_line_that_was_cut_anywhere_is_drawn_again(tmp_path: Path) -> None:
    seeds = range(48)
    lines = drawn(samples_in(tmp_path, seeds)) and (tmp_path / "set/manifest.jsonl").read_bytes()
    last = lines.rindex(b"\n", 0, -1) + 1
    for cut in (0, 5, last - 1, last, last + 1, last + 100, len(lines) - 1):
        (tmp_path / "set/manifest.jsonl").write_bytes(lines[:cut])
        samples = samples_in(tmp_path, seeds)
        assert len(samples.missing()) == 3 - (lines[:cut] + b"\n").count(b"]}\n")
        drawn(samples)
        assert (tmp_path / "set/manifest.jsonl").read_bytes() == lines


def test_seeds_together_are_one_archive_that_any_unpacker_opens(
    tmp_path: Path, whole: dict[str, bytes]
) -> None:
    assert [name for name in whole if name.endswith(".zip")] == ["000000200-000000299.zip"]
    assert len(whole) == 1 + 45 + 1
    put(tmp_path, whole)
    with zipfile.ZipFile(tmp_path / "set/000000200-000000299.zip") as archive:
        assert archive.testzip() is None and len(archive.namelist()) == 100
        assert torch.equal(Png().decode(archive.read("000000207.png")), images([207])[0])
    samples = samples_in(tmp_path)
    assert not samples.missing() and not samples.damaged()
    assert all(torch.equal(read, images(batch)) for batch, read in samples.read())
    samples.drop()
    assert list(content(tmp_path)) == ["manifest.jsonl"] and samples.counted() and not samples.damaged()


DISORDER = (
    "archive gone",
    "archive cut",
    "entry changed",
    "files beside the archive",
    "no archive yet",
    "line",
)


@pytest.mark.parametrize("what", DISORDER)
def test_whatever_a_killed_run_leaves_ends_with_the_same_bytes(
    tmp_path: Path, whole: dict[str, bytes], what: str
) -> None:
    put(tmp_path, whole)
    archive = tmp_path / "set/000000200-000000299.zip"
    data = archive.read_bytes()
    if what == "archive gone":
        archive.unlink()
    if what == "archive cut":
        archive.write_bytes(data[:100])
    if what == "entry changed":
        archive.write_bytes(data[:60] + bytes([data[60] ^ 1]) + data[61:])
    if what in ("files beside the archive", "no archive yet"):  # killed after it wrote the archive, or before
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(tmp_path / "set")
        if what == "no archive yet":
            archive.unlink()
    if what == "line":
        lines = whole["manifest.jsonl"].splitlines(keepends=True)
        (tmp_path / "set/manifest.jsonl").write_bytes(
            b"".join([*lines[5:], lines[0], b'{"sample_id":"set","fi'])
        )
    damaged = samples_in(tmp_path).damaged()
    assert damaged == (what in ("archive cut", "entry changed", "line"))
    drawn(samples_in(tmp_path))
    assert content(tmp_path) == whole


def half_drawn(folder: Path, batch_size: int = 16) -> list[str]:
    """Draw five batches, as a run that is killed then; return the names of what is there beside the manifest."""
    samples = Samples(folder, "set", SEEDS, batch_size, Png())
    for batch in samples.batches()[:5]:
        samples.write(batch, images(batch))
    return sorted(content(folder).keys() - {"manifest.jsonl"})


def test_batches_are_archives_until_the_archive_of_all_is_full(
    tmp_path: Path, whole: dict[str, bytes]
) -> None:
    assert half_drawn(tmp_path) == [f"{first:09d}-{first + 15:09d}.zip" for first in range(200, 280, 16)]
    samples = samples_in(tmp_path)
    assert len(samples.missing()) == 5 and torch.equal(Png().decode(samples.data(279)), images([279])[0])
    last = samples.batches()[6]  # 296 to 311: of two archives, the second of which stays files
    samples.write(last, images(last))
    assert {"000000296-000000299.zip", "000000300.png", "000000311.png"} <= content(tmp_path).keys()
    drawn(samples)
    assert content(tmp_path) == whole


@pytest.mark.parametrize("damage", ["cut", "changed", "gone", "file beside it"])
@pytest.mark.parametrize("batch_size", [7, 16, 40])
def test_archives_of_batches_that_are_damaged_are_drawn_again(
    tmp_path: Path, whole: dict[str, bytes], damage: str, batch_size: int
) -> None:
    """Also where the run goes on with batches of another size, which an intact archive may hold in part."""
    half_drawn(tmp_path)
    path, file = tmp_path / "set/000000216-000000231.zip", tmp_path / "set/000000220.png"
    data = path.read_bytes()
    if damage == "gone":
        path.unlink()
    elif damage == "file beside it":
        file.write_bytes(whole["000000300.png"])
    else:
        path.write_bytes(data[:100] if damage == "cut" else data[:60] + bytes([data[60] ^ 1]) + data[61:])
    samples = Samples(tmp_path, "set", SEEDS, batch_size, Png())
    assert any(216 <= seed < 232 for batch in samples.missing() for seed in batch)
    drawn(samples)
    drawn(samples_in(tmp_path))  # whose lines are those of its own batches
    assert content(tmp_path) == whole


def test_dropping_leaves_no_archive_of_a_batch(tmp_path: Path) -> None:
    half_drawn(tmp_path)
    samples_in(tmp_path).drop()
    assert list(content(tmp_path)) == ["manifest.jsonl"]


def test_large_samples_stay_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample_packs, "LARGEST", 100)
    drawn(samples_in(tmp_path, range(200, 300)))
    assert len(content(tmp_path)) == 101 and not list(tmp_path.rglob("*.zip"))


def test_the_manifest_of_an_earlier_version_is_read_and_replaced(
    tmp_path: Path, whole: dict[str, bytes]
) -> None:
    put(tmp_path, whole)
    lines = [json.loads(line) for line in whole["manifest.jsonl"].splitlines()]
    digests = [digest for line in lines for digest in line["sha256"]]
    files = {f"{seed:09d}.png": digest for seed, digest in zip(SEEDS, digests, strict=True)}
    (tmp_path / "set/manifest.jsonl").unlink()
    for name in ("set", "other"):
        old = {"schema": 1, "sample_id": name, "files": files, "calls": {}}
        (tmp_path / "set/manifest.json").write_text(json.dumps(old))
        assert len(samples_in(tmp_path).missing()) == (0 if name == "set" else 10)
    (tmp_path / "set/manifest.json").write_text(json.dumps(old | {"sample_id": "set"}))
    drawn(samples_in(tmp_path))
    assert content(tmp_path) == whole


def test_what_several_processes_drew_becomes_what_one_draws(tmp_path: Path) -> None:
    seeds, calls = range(100, 210), {"blocks.0.ff": 2.0}
    one = samples_in(tmp_path / "one", seeds, SITES)
    shards = [
        samples_in(tmp_path / str(part[0]), part, SITES) for part in (seeds[:64], seeds[64:96], seeds[96:])
    ]
    for samples in [one, *reversed(shards)]:
        for batch in samples.batches():
            samples.write(batch, images(batch), calls)
        samples.close()
    pooled = samples_in(tmp_path / "pooled", seeds, SITES)
    for shard in reversed(shards):
        pooled.adopt(shard)
        pooled.adopt(shard)  # a second time changes nothing
    pooled.close()
    assert content(tmp_path / "pooled") == content(tmp_path / "one") and not pooled.missing()
    assert pooled.calls() == one.calls() == calls
