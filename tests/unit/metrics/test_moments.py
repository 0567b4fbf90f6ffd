"""Moments: any split gives the same numbers, and bad files are refused in one line."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics import rows as metrics_rows
from metrics.features import Features, FloatArray
from metrics.moments import Moments


def features(count: int = 300, width: int = 6, seed: int = 0) -> FloatArray:
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(width, width))
    return rng.normal(size=(count, width)) @ mixing + 5.0


def streamed(*batches: Features) -> Moments:
    moments = Moments()
    for batch in batches:
        moments.update(batch)
    return moments


def split(rows: Features, size: int) -> list[Features]:
    return np.split(rows, range(size, len(rows), size))


def assert_same(a: Moments, b: Moments) -> None:
    assert a.count == b.count
    np.testing.assert_allclose(a.mean, b.mean, rtol=1e-12)
    np.testing.assert_allclose(
        a.covariance, b.covariance, rtol=1e-12, atol=1e-12 * np.abs(b.covariance).max()
    )


def test_equal_numpy_with_n_minus_1() -> None:
    rows = features()
    moments = streamed(rows)
    np.testing.assert_allclose(moments.mean, rows.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(moments.covariance, np.cov(rows, rowvar=False), rtol=1e-11)


@given(st.sets(st.integers(1, 299), max_size=40))
def test_any_split_is_the_same(cuts: set[int]) -> None:
    rows = features()
    assert_same(streamed(*np.split(rows, sorted(cuts))), streamed(rows))


@given(st.integers(1, 299), st.integers(1, 299))
def test_any_merge_is_the_same(first: int, second: int) -> None:
    rows = features()
    parts = [streamed(part) for part in np.split(rows, sorted((first, second))) if len(part)]
    for other in parts[1:]:
        parts[0].merge(other)
    assert_same(parts[0], streamed(rows))


def test_one_row_at_a_time_and_large_sets_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = features()
    whole = streamed(rows)
    assert_same(streamed(*split(rows, 1)), whole)
    monkeypatch.setattr(metrics_rows, "PIECE", 6 * 7)
    assert_same(streamed(rows), whole)


def test_merge_is_the_same_as_streaming() -> None:
    rows = features()
    left, right, empty = streamed(rows[:90]), streamed(*split(rows[90:], 40)), Moments()
    left.merge(right)
    left.merge(empty)
    empty.merge(left)
    assert_same(left, streamed(rows))
    assert_same(empty, streamed(rows))
    assert right.count == 210


def test_a_far_mean_keeps_its_digits() -> None:
    rows = features() + 1e8
    expected = np.cov(rows - 1e8, rowvar=False)
    np.testing.assert_allclose(streamed(*split(rows, 10)).covariance, expected, rtol=1e-6)


def test_float32_is_accumulated_in_float64() -> None:
    rows = features().astype(np.float32)
    assert_same(streamed(*split(rows, 9)), streamed(rows.astype(np.float64)))


def test_order_does_not_matter() -> None:
    rows = features()
    assert_same(streamed(np.random.default_rng(1).permutation(rows)), streamed(rows))


def test_the_caller_may_reuse_its_buffer_and_the_result() -> None:
    rows = features()
    moments = streamed(rows)
    before = moments.mean.copy()
    rows[:] = 0.0
    moments.mean[:] = 0.0
    np.testing.assert_array_equal(moments.mean, before)


def test_counts_the_rows_that_are_not_finite() -> None:
    rows = features(10)
    rows[2, 0] = float("nan")
    rows[7] = float("inf")
    moments = Moments()
    with pytest.raises(ValueError, match="2 of 10 rows of features hold NaN or Inf"):
        moments.update(rows)
    assert moments.count == 0


@pytest.mark.parametrize("shape", [(5,), (2, 3, 4), (0, 6), (6, 0)])
def test_refuses_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"features must be \[N, d\]"):
        Moments().update(np.zeros(shape))


def test_refuses_another_width() -> None:
    with pytest.raises(ValueError, match="width 5 after 300 samples of width 6"):
        streamed(features()).update(features(width=5))


@pytest.mark.parametrize("count", [0, 1])
def test_needs_two_samples(count: int) -> None:
    moments = streamed(*split(features(count), 1)) if count else Moments()
    with pytest.raises(ValueError, match=f"at least 2 samples, have {count}"):
        _ = moments.covariance
    with pytest.raises(ValueError, match=f"at least 2 samples, have {count}"):
        _ = moments.mean


def statistics(**changes: Any) -> dict[str, Any]:
    moments = streamed(features())
    return {"mu": moments.mean, "sigma": moments.covariance, "n": moments.count, **changes}


def test_from_npz_reads_back(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **statistics())
    loaded = Moments.from_npz(tmp_path / "a.npz")
    assert_same(loaded, streamed(features()))
    loaded.update(features(50, seed=2))
    mixed = streamed(features(), features(50, seed=2))
    assert_same(loaded, mixed)


@pytest.mark.parametrize("key", ["mu", "sigma", "n"])
def test_from_npz_names_the_missing_key(tmp_path: Path, key: str) -> None:
    arrays = statistics()
    del arrays[key]
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=f"lack {key}: "):
        Moments.from_npz(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mu": np.zeros((1, 6))}, r"mu \[1, 6\]"),
        ({"mu": np.zeros(5)}, r"mu \[5\], sigma \[6, 6\]"),
        ({"sigma": np.zeros((6, 5))}, r"sigma \[6, 5\]"),
        ({"n": np.array([3, 4])}, r"n \[2\]"),
        ({"mu": np.full(6, np.nan)}, "NaN or Inf"),
        ({"sigma": np.full((6, 6), np.inf)}, "NaN or Inf"),
        ({"sigma": np.triu(np.ones((6, 6)))}, "not symmetric"),
        ({"n": 1}, "n=1.0 samples"),
        ({"n": 10.5}, "n=10.5 samples"),
        ({"n": np.nan}, "n=nan samples"),
        ({"mu": np.array(["a"] * 6)}, "damaged, pickled or not of numbers"),
    ],
)
def test_from_npz_refuses_bad_content(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "a.npz", **statistics(**changes))
    with pytest.raises(ValueError, match=message):
        Moments.from_npz(tmp_path / "a.npz")


class Touches:
    """Unpickling it makes a file, as a hostile pickle would do worse."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_from_npz_never_unpickles(tmp_path: Path) -> None:
    payload = np.array([Touches(tmp_path / "touched")], dtype=object)
    np.savez(tmp_path / "object.npz", **statistics(mu=payload))
    payload.dump(tmp_path / "plain.npz")
    with pytest.raises(ValueError, match="pickled"):
        Moments.from_npz(tmp_path / "object.npz")
    with pytest.raises(ValueError, match="is not an npz file without pickles"):
        Moments.from_npz(tmp_path / "plain.npz")
    assert not (tmp_path / "touched").exists()


def test_from_npz_refuses_other_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no reference statistics at .*none\.npz"):
        Moments.from_npz(tmp_path / "none.npz")
    np.save(tmp_path / "a.npy", np.zeros(3))
    with pytest.raises(ValueError, match="single array"):
        Moments.from_npz(tmp_path / "a.npy")
    (tmp_path / "empty.npz").touch()
    with pytest.raises(ValueError, match="not an npz file"):
        Moments.from_npz(tmp_path / "empty.npz")
    np.savez(tmp_path / "cut.npz", **statistics())
    whole = (tmp_path / "cut.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="not an npz file"):
        Moments.from_npz(tmp_path / "cut.npz")
    damaged = bytearray(whole)
    damaged[200] ^= 0xFF
    (tmp_path / "damaged.npz").write_bytes(bytes(damaged))
    with pytest.raises(ValueError, match=r"damaged\.npz"):
        Moments.from_npz(tmp_path / "damaged.npz")
