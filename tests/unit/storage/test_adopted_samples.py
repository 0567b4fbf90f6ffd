"""Samples that another process drew are linked, not copied; and none is hashed twice that has not changed."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch

from smoothbench.media.codecs import Png
from smoothbench.storage import sample_packs
from smoothbench.storage.digest_memory import DigestMemory
from smoothbench.storage.sample_files import Samples
from smoothbench.storage.sample_packs import SampleFiles

SEEDS = range(100, 330)  # two archives, and files
ARCHIVE = "000000100-000000199.zip"


@pytest.fixture(scope="module", autouse=True)
def archives_of_a_hundred() -> Iterator[None]:
    """Small archives, for the sake of time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample_packs, "PACKED", 100)
        yield


def samples_in(folder: Path, seeds: Sequence[int] = SEEDS, memory: DigestMemory | None = None) -> Samples:
    return Samples(folder, "set", seeds, 16, Png(), memory=memory)


def drawn(folder: Path, seeds: Sequence[int] = SEEDS) -> Samples:
    samples = samples_in(folder, seeds)
    for batch in samples.missing():
        samples.write(batch, torch.tensor(batch)[:, None, None, None].to(torch.uint8))
    samples.close()
    return samples


def inodes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in (folder / "set").glob("*[0-9].*")}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "set").iterdir()}


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file or archive was read for a sample, by its name, from now on."""
    counts, read = Counter[str](), SampleFiles._read

    def counting(files: SampleFiles, path: Path, seed: int) -> bytes | None:
        data = read(files, path, seed)
        counts[path.name] += data is not None
        return data

    monkeypatch.setattr(SampleFiles, "_read", counting)
    return counts


def test_files_and_full_archives_are_linked(tmp_path: Path) -> None:
    one = drawn(tmp_path / "one")
    adopting = samples_in(tmp_path / "other")
    adopting.adopt(one)
    adopting.close()
    assert inodes(tmp_path / "other") == inodes(tmp_path / "one") and len(inodes(tmp_path / "one")) == 32
    assert contents(tmp_path / "other") == contents(tmp_path / "one") and not adopting.missing()
    one.drop()
    assert not samples_in(tmp_path / "other").missing()


def test_a_part_of_an_archive_is_copied(tmp_path: Path) -> None:
    part = samples_in(tmp_path / "part", range(100, 164))
    part.adopt(drawn(tmp_path / "one"))
    assert not part.missing() and not list(tmp_path.glob("part/set/*.zip"))


def test_what_is_damaged_there_or_here_is_not_taken_over(tmp_path: Path) -> None:
    one, here = drawn(tmp_path / "one"), tmp_path / "other/set"
    data = (tmp_path / "one/set/000000320.png").read_bytes()
    (tmp_path / "one/set/000000320.png").write_bytes(data[:-1])
    here.mkdir(parents=True)
    (here / "000000120.png").write_bytes(b"of a run that was killed")  # hides the entry of a linked archive
    adopting = samples_in(tmp_path / "other")
    adopting.adopt(one)
    assert adopting.missing() == [range(308, 324)] and not (here / "000000320.png").exists()
    (tmp_path / "one/set/000000320.png").write_bytes(data)
    adopting.adopt(samples_in(tmp_path / "one"))
    adopting.close()
    assert contents(tmp_path / "other") == contents(tmp_path / "one")


def test_a_file_is_read_once_until_it_changes(tmp_path: Path, reads: Counter[str]) -> None:
    memory = drawn(tmp_path).files.memory
    samples_in(tmp_path, memory=memory).missing()
    reads.clear()
    assert (
        not samples_in(tmp_path, memory=memory).missing()
        and not samples_in(tmp_path, memory=memory).damaged()
    )
    assert not reads
    (tmp_path / "set/000000320.png").write_bytes(b"another file")
    archive = bytearray((tmp_path / "set" / ARCHIVE).read_bytes())
    archive[60] ^= 1
    (tmp_path / "set" / ARCHIVE).unlink()
    (tmp_path / "set" / ARCHIVE).write_bytes(archive)
    again = samples_in(tmp_path, memory=memory)
    assert again.damaged() and again.missing() == [range(100, 116), range(308, 324)]
    # a batch is missing by its first damaged sample: the 15 behind it are not read
    assert reads == {"000000320.png": 1, ARCHIVE: 100 - 15}
    assert len(samples_in(tmp_path).missing()) == 2 and reads["000000324.png"] == 1  # a memory of its own


def test_linked_files_are_known_to_a_shared_memory(tmp_path: Path, reads: Counter[str]) -> None:
    drawn(tmp_path / "one", range(300, 332))
    memory = DigestMemory()
    adopting = samples_in(tmp_path / "other", range(300, 332), memory)
    reads.clear()
    adopting.adopt(samples_in(tmp_path / "one", range(300, 332), memory))
    assert not adopting.missing() and set(reads.values()) == {1} and len(reads) == 32
