"""What the metrics keep of samples: asked for by headers, read where it is used, damage found there."""

import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from smoothbench.errors import MetricsFailed
from smoothbench.running.todo import is_done
from smoothbench.storage import streamed_npz
from smoothbench.storage.feature_cache import FeatureCache
from smoothbench.storage.files import write_arrays
from smoothbench.storage.npz import read_headers
from tests.support.compose import experiment
from tests.support.runs import read, run

SMALL = ("metrics=[fd_nano]", "only=[fora]", "solver.steps=4", "num_samples=16", "batch_size=16")


def inside(path: Path) -> None:
    """Damage late within the packed rows, which no header shows."""
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("rows.npy")
    data = bytearray(path.read_bytes())
    data[info.header_offset + info.compress_size] ^= 0xFF
    path.write_bytes(data)


def test_asking_whether_rows_exist_does_not_unpack_them(tmp_path: Path) -> None:
    kept = FeatureCache(tmp_path)
    rows = np.random.default_rng(0).normal(size=(4000, 1000)).astype(np.float32)
    kept.write("a", "k", range(4000), rows)
    assert kept.has("a", "k", range(4000))
    started = time.process_time()
    kept.has("a", "k", range(4000))
    asked = time.process_time() - started
    assert np.array_equal(kept.read("a", "k", range(4000)), rows)  # type: ignore[arg-type]
    assert asked < (time.process_time() - started - asked) / 3


def test_what_a_header_tells_is_looked_at(tmp_path: Path) -> None:
    kept, rows = FeatureCache(tmp_path), np.zeros((4, 2), np.float32)
    kept.write("a", "k", range(4), rows)
    assert (
        kept.has("a", "k", range(4)) and not kept.has("a", "k", range(5)) and not kept.has("b", "k", range(4))
    )
    assert not kept.has("a", "k", range(1, 5))
    (tmp_path / "b").mkdir()
    (tmp_path / "b/k.npz").write_bytes((tmp_path / "a/k.npz").read_bytes())  # another's
    assert not kept.has("b", "k", range(4))
    for wrong in (rows.astype(np.int64), rows[0, 0], rows[:3]):
        kept.write("a", "w", range(4), wrong)
        assert not kept.has("a", "w", range(4)) and kept.read("a", "w", range(4)) is None


@pytest.mark.parametrize("keep", [slice(0, 0), slice(0, 99), slice(0, -20)])
def test_files_that_are_not_whole_are_not_there(tmp_path: Path, keep: slice) -> None:
    kept = FeatureCache(tmp_path)
    kept.write("a", "k", range(4), np.zeros((4, 2), np.float32))
    path = tmp_path / "a/k.npz"
    path.write_bytes(path.read_bytes()[keep])
    assert not kept.has("a", "k", range(4)) and read_headers(path, ()) is None


def largest(folder: Path) -> Path:
    """The rows of FORA's samples that take the most room."""
    sample = next(record["sample_id"] for name, record in read(folder).items() if name != "reference")
    files = (folder / "runs/smoke/observations" / sample).glob("*.npz")
    return max(files, key=lambda path: path.stat().st_size)


@pytest.mark.slow
def test_damaged_rows_are_made_again_where_they_are_read(tmp_path: Path) -> None:
    expected = run(tmp_path, *SMALL)
    path = largest(tmp_path)
    content = path.read_bytes()
    inside(path)
    again = experiment(tmp_path, *SMALL)
    assert all(is_done(again.bench, point) for point in again.bench.points)  # nothing needs them
    for record in tmp_path.glob("runs/smoke/records/fora*"):
        record.unlink()
    again.run()
    assert read(tmp_path) == expected and path.read_bytes() == content


@pytest.mark.slow
def test_damaged_rows_end_the_pooling_in_one_line_and_the_same_command_mends_them(tmp_path: Path) -> None:
    run(tmp_path, *SMALL)
    path = largest(tmp_path)
    content = path.read_bytes()
    inside(path)
    with pytest.raises(MetricsFailed) as error:
        run(tmp_path, *SMALL, "seed=1")
    text = str(error.value)
    assert text.startswith("pooling fora-interval=2: observations/")
    assert text.endswith("npz is damaged, now dropped: run it again") and not path.exists()
    run(tmp_path, *SMALL)  # the rows are those of seed=0
    assert path.read_bytes() == content
    pooled = [file for file in tmp_path.glob("runs/smoke/records/*") if '"parts": []' not in file.read_text()]
    assert len(pooled) == 2


def stored(folder: Path, rows: np.ndarray, key: str = "k", size: int = 7) -> FeatureCache:
    """A cache whose features came in batches."""
    kept = FeatureCache(folder)
    with kept.streaming("a", range(len(rows))) as streams:
        for start in range(0, len(rows), size):
            streams.add(key, rows[start : start + size])
    return kept


def test_features_are_written_batch_by_batch_and_stay_on_the_disk_while_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamed_npz, "MAPPED", 100)
    rows = np.random.default_rng(0).normal(size=(40, 3, 5)).astype(np.float32)
    kept = stored(tmp_path / "1", rows)
    read = kept.read("a", "k", range(40))
    assert read is not None and np.array_equal(read, rows) and read.dtype == np.float32
    assert isinstance(read.base, np.memmap) and read.flags.aligned
    content = (tmp_path / "1/a/k.npz").read_bytes()
    read[0] = 7  # a metric that writes into its input leaves the file alone
    assert (tmp_path / "1/a/k.npz").read_bytes() == content
    for other in (stored(tmp_path / "2", rows, size=16), FeatureCache(tmp_path / "3")):
        if not (other.folder / "a/k.npz").exists():
            other.write("a", "k", range(40), rows)
        assert (other.folder / "a/k.npz").read_bytes() == content, "whatever the batches were"
    with np.load(tmp_path / "1/a/k.npz", allow_pickle=False) as data:
        assert np.array_equal(data["rows"], rows), "as any npz"
    inside(tmp_path / "1/a/k.npz")
    assert kept.read("a", "k", range(40)) is None
    write_arrays(tmp_path / "1/a/k.npz", {"seeds": np.arange(40), "rows": rows})  # of an earlier version
    assert np.array_equal(kept.read("a", "k", range(40)), rows)  # type: ignore[arg-type]


def test_features_that_are_not_whole_are_not_written(tmp_path: Path) -> None:
    kept, rows = FeatureCache(tmp_path), np.zeros((4, 2), np.float32)
    with pytest.raises(KeyError), kept.streaming("a", range(8)) as streams:
        streams.add("k", rows)
        raise KeyError
    with kept.streaming("a", range(8)) as streams:
        for key in ("whole", "short", "refused"):
            streams.add(key, rows)
        streams.drop("refused")
        with pytest.raises(ValueError, match=r"features \[3\] after others of \[2\]: they differ"):
            streams.add("short", np.zeros((4, 3), np.float32))
        streams.add("whole", rows)
        with pytest.raises(ValueError, match="2 values more than the array has room for"):
            streams.add("whole", rows[:1])
        assert streams.short() == ["short"]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["whole.npz"]


def test_parts_are_joined_as_if_they_had_been_one(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(10, 3))
    whole, parts = FeatureCache(tmp_path / "whole"), [(FeatureCache(tmp_path / "x"), range(6))]
    parts.append((FeatureCache(tmp_path / "y"), range(6, 10)))
    whole.write("a", "k", range(10), rows)
    for cache, seeds in parts:
        cache.write("a", "k", seeds, rows[seeds[0] : seeds[-1] + 1])
    pooled = FeatureCache(tmp_path / "pooled")
    assert pooled.join("a", "k", parts)
    assert (tmp_path / "pooled/a/k.npz").read_bytes() == (tmp_path / "whole/a/k.npz").read_bytes()
    assert not pooled.join("a", "other", parts) and not (tmp_path / "pooled/a/other.npz").exists()
