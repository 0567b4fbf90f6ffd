"""Array files of random bytes, cut, swapped or pickled: refused, and never unpickled."""

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from smoothbench.caching import ErrorCurves
from smoothbench.config.expand import settings
from smoothbench.errors import UsageError
from smoothbench.media.image_npz import ImageFile
from smoothbench.running.experiment import Experiment
from smoothbench.storage.feature_cache import FeatureCache
from smoothbench.storage.files import read_arrays, write_arrays
from tests.support.compose import composed
from tests.support.damaged_arrays import SEEDS, SOME, broken, foreign


class Trap:
    """Unpickling it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.write_text, (self.mark, "unpickled")


def trapped(mark: Path, name: str) -> dict[str, bytes]:
    """Files that run code where somebody unpickles them."""
    array = np.array([Trap(mark)], dtype=object)
    npz, npy = io.BytesIO(), io.BytesIO()
    np.savez(npz, allow_pickle=True, **{name: array})
    np.save(npy, array, allow_pickle=True)
    return {"npz": npz.getvalue(), "npy": npy.getvalue(), "pickle": pickle.dumps(Trap(mark))}


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


WHOLE = npz(seeds=np.arange(7, 11), rows=np.ones((4, 3)))


@given(data=broken(WHOLE))
@example(data=npz())
@example(data=foreign(rows=b"no array", seeds=b""))
@example(
    data=WHOLE.replace(b"PK\x03\x04\x14\x00\x00", b"PK\x03\x04\x14\x00\x01").replace(
        b"\x14\x00\x00\x00", b"\x14\x00\x01\x00"
    )
)
@SOME
def test_any_bytes_are_arrays_or_nothing(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "rows" / "key.npz"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    arrays = read_arrays(path)
    assert arrays is None or all(isinstance(values, np.ndarray) for values in arrays.values())
    rows = FeatureCache(tmp_path).read("rows", "key", SEEDS)
    assert rows is None or (len(rows) == len(SEEDS) and rows.dtype.kind == "f")


def test_what_is_no_archive_of_arrays(tmp_path: Path) -> None:
    path, buffer = tmp_path / "file.npz", io.BytesIO()
    np.save(buffer, np.ones(3))
    path.write_bytes(buffer.getvalue())
    assert read_arrays(path) is None and read_arrays(tmp_path) is None
    path.write_bytes(foreign(zipfile.ZIP_LZMA, rows=buffer.getvalue())[:-60])
    assert read_arrays(path) is None


@pytest.mark.parametrize("kind", ["npz", "npy", "pickle"])
def test_nothing_is_ever_unpickled(tmp_path: Path, kind: str) -> None:
    mark, folder = tmp_path / "mark", tmp_path / "rows"
    folder.mkdir()
    for name in ("rows", "arr_0", "l1_diff", "costs"):
        path = folder / "key.npz"
        path.write_bytes(trapped(mark, name)[kind])
        assert read_arrays(path) is None
        assert FeatureCache(tmp_path).read("rows", "key", SEEDS) is None
        for reader in (ErrorCurves.load, ImageFile):
            with pytest.raises(ValueError, match=r"key\.npz"):
                reader(path)
    assert not mark.exists()
    np.load(io.BytesIO(trapped(mark, "rows")["npz"]), allow_pickle=True)["rows"]
    assert mark.exists(), "the trap works"


ROWS = np.arange(12.0).reshape(4, 3)
OTHERS: dict[str, dict[str, Any]] = {
    "swapped": {"seeds": ROWS, "rows": np.arange(7, 11)},
    "swapped, of one shape": {"seeds": np.ones(4), "rows": np.arange(7.0, 11.0)},
    "seeds as floats": {"seeds": np.arange(7.0, 11.0), "rows": ROWS},
    "scalar": {"seeds": np.arange(7, 11), "rows": np.float64(3)},
    "text": {"seeds": np.arange(7, 11), "rows": np.array(["a"] * 4)},
    "whole numbers": {"seeds": np.arange(7, 11), "rows": np.ones((4, 3), np.int64)},
    "complex": {"seeds": np.arange(7, 11), "rows": ROWS + 1j},
    "too few": {"seeds": np.arange(7, 11), "rows": ROWS[:3]},
    "other seeds": {"seeds": np.arange(8, 12), "rows": ROWS},
    "more": {"seeds": np.arange(7, 11), "rows": ROWS, "more": ROWS},
    "of another key": {"seeds": np.arange(7, 11), "rows": ROWS, "of": np.array(["set", "other"])},
    "of another set": {"seeds": np.arange(7, 11), "rows": ROWS, "of": np.array(["other", "key"])},
    "of a number": {"seeds": np.arange(7, 11), "rows": ROWS, "of": np.array(3)},
}


@pytest.mark.parametrize("what", OTHERS)
def test_rows_of_something_else_are_missing(tmp_path: Path, what: str) -> None:
    observations = FeatureCache(tmp_path)
    observations.write("set", "key", SEEDS, ROWS)
    np.testing.assert_array_equal(observations.read("set", "key", SEEDS), ROWS)
    write_arrays(tmp_path / "set" / "key.npz", OTHERS[what])
    assert observations.read("set", "key", SEEDS) is None


@given(data=st.data())
@effort(SOME, max_examples=40)
def test_any_curves_are_right_or_refused_in_one_line(
    tmp_path: Path, curves: ErrorCurves, data: st.DataObject
) -> None:
    path = tmp_path / "curves.npz"
    path.write_bytes(data.draw(broken(curves.to_bytes())))
    try:
        found = ErrorCurves.load(path)
    except ValueError as error:
        assert str(path) in str(error) and "\n" not in str(error)
    else:  # the archive has a sum of each array, but not of its own padding
        assert found.digest() == curves.digest() and len(found.trajectory.sites) == 6


CURVES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "swapped": lambda a: a | {"l1": a["l1_diff"], "l1_diff": a["l1"]},
    "less evaluations": lambda a: a | {"l1": a["l1"][:, :, 1:]},
    "no lag": lambda a: a | {"l1_diff": a["l1_diff"][..., :0]},
    "no samples": lambda a: a | {"l1": a["l1"][:0], "l1_diff": a["l1_diff"][:0]},
    "other numbers": lambda a: a | {"l1": a["l1"].astype(np.float32)},
    "not finite": lambda a: a | {"l1": a["l1"] * np.inf},
    "below 0": lambda a: a | {"l1_diff": -a["l1_diff"]},
    "costs as floats": lambda a: a | {"costs": a["costs"] + 0.5},
    "sites as numbers": lambda a: a | {"sites": a["costs"]},
    "a site less": lambda a: a | {"sites": a["sites"][1:]},
    "an array less": lambda a: {key: values for key, values in a.items() if key != "coordinates"},
}


@pytest.mark.parametrize("what", CURVES)
def test_curves_that_do_not_fit_themselves(tmp_path: Path, curves: ErrorCurves, what: str) -> None:
    path = tmp_path / "curves.npz"
    curves.save(path)
    assert ErrorCurves.load(path).digest() == curves.digest()
    with np.load(path, allow_pickle=False) as data:
        path.write_bytes(npz(**CURVES[what](dict(data))))
    with pytest.raises(ValueError, match=r"curves\.npz holds no error curves"):
        ErrorCurves.load(path)


@given(data=broken(npz(arr_0=np.zeros((3, 28, 28, 1), np.uint8))))
@effort(SOME, max_examples=30)
def test_real_samples_are_right_or_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "real.npz"
    path.write_bytes(data)
    try:
        assert torch.cat(list(ImageFile(path).batches(2))).shape[1:] == (1, 28, 28)
    except ValueError as error:
        assert "must be an npz with arr_0" in str(error) and str(path) in str(error)


def test_real_samples_that_are_none_end_the_run_before_it_starts(tmp_path: Path) -> None:
    (tmp_path / "real.npz").write_bytes(npz(arr_0=np.zeros((3, 28, 28))))
    overrides = ("metrics=[kid_nano]", f"model.evaluation.real.file={tmp_path / 'real.npz'}", "device=cpu")
    with pytest.raises(UsageError, match=r"metrics.kid_nano: real samples .*real\.npz: must be an npz"):
        Experiment(settings(composed("+exp=smoke", f"results_dir={tmp_path}", *overrides)))
