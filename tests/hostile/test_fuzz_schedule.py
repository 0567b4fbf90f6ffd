"""Schedules as JSON, in and out: what is right comes back the same, everything else is one clear line."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from baselines.saved import SavedSchedule
from smoothbench.caching import Schedule, Site, Trajectory, cached, find_sites
from tests.support.tiny_dit import TinyDiT, build_tiny

SOME = effort(
    deadline=None, derandomize=True, database=None, max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
IMAGE = tuple(Site(f"blocks.{b}.{k}", k, "") for b in range(3) for k in ("self_attn", "cross_attn", "ff"))
VIDEO = tuple(
    Site(f"{d}_blocks.{b}.{k}", f"{d}_{k}", "")
    for b in range(2) for d in ("spatial", "temporal") for k in ("self_attn", "ff")
)  # fmt: skip
BITS = st.sampled_from([0, 1])
NAMES = ("published", "canonical")


def rows(sites: int, evals: int) -> st.SearchStrategy[list[list[int]]]:
    """Bits of a schedule: the first evaluation computes everything."""
    later = st.lists(st.lists(BITS, min_size=sites, max_size=sites), min_size=evals - 1, max_size=evals - 1)
    return later.map(lambda found: [[1] * sites, *found])


META = st.dictionaries(st.text(max_size=4), st.none() | st.booleans() | st.integers() | st.text(max_size=4))


@pytest.mark.parametrize("names", NAMES)
@given(data=st.data(), sites=st.sampled_from([IMAGE, VIDEO]), evals=st.integers(1, 5), meta=META)
@effort(SOME, max_examples=60)
def test_json_both_ways(
    tmp_path: Path, names: str, data: st.DataObject, sites: tuple[Site, ...], evals: int, meta: dict[str, Any]
) -> None:
    schedule = Schedule.of(sites, data.draw(rows(len(sites), evals)), meta)
    path = tmp_path / "schedule.json"
    schedule.save(path, names)
    assert Schedule.load(path, sites) == schedule
    trajectory = Trajectory(sites, tuple(map(float, range(evals))))
    assert SavedSchedule(str(path)).plan(trajectory) == schedule


KEYS = st.sampled_from(
    ["attn", "attn1", "attn2", "mlp", "ff", "self_attn", "cross_attn", "attn-0", "mlp-2", "ff-2", "attn1-0",
     "attn-", "attn-01", "attn--1", "attn-3", "attn-\u0661", "attn\n", "spatial_attn", "", "-", "-0", "_meta",
     "at\ntn", "Attn", "\ud800", "ATTN-0"]
) | st.text(max_size=3)  # fmt: skip
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
    | st.sampled_from([0, 1, 2, 1.0, -0.0, 10**400]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=5,
)  # fmt: skip
LISTS = st.lists(BITS, min_size=1, max_size=3)
FILES = st.dictionaries(KEYS, LISTS | LISTS | st.lists(BITS, min_size=2, max_size=2) | JUNK, max_size=4)


def refused(text: str, path: Path) -> Schedule | None:
    """The schedule, or None where a ValueError of one line names the file."""
    path.write_text(text, encoding="utf-8")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Schedule.load(path, IMAGE)
    except ValueError as error:
        assert str(path) in str(error) and "\n" not in str(error)
        return None


@given(data=FILES | JUNK)
@example(data={"at\ntn": [1, 0]})
@example(data={"attn-": [1, 0]})
@example(data={"attn": [True, False]})
@example(data={"attn": [1.0, 0.0]})
@example(data={"attn": [1], "_meta": {"alpha": float("nan")}})
@example(data={"attn": [1], "_meta": {"alpha": float("inf")}})
@example(data={"attn": [1], "_meta": None})
@SOME
def test_any_json_is_a_schedule_or_one_clear_line(tmp_path: Path, data: Any) -> None:
    schedule = refused(json.dumps(data), tmp_path / "any.json")
    if schedule is None:
        return
    assert all(schedule.computed[0]) and schedule.sites == tuple(site.name for site in IMAGE)
    for key, bits in data.items():
        if key == "_meta":
            assert json.loads(json.dumps(schedule.meta, allow_nan=False)) == bits
            continue
        assert all(type(bit) is int for bit in bits) and len(bits) == schedule.evals
        block = key.partition("-")[2]
        if "-" in key:  # a block's key is what its sites get, whatever its kind's says
            columns = [i for i, s in enumerate(IMAGE) if str(s.block) == block]
            assert any([int(row[i]) for row in schedule.computed] == bits for i in columns)


@given(data=st.dictionaries(st.none() | st.integers() | st.just("attn"), LISTS, min_size=1, max_size=2))
@effort(SOME, max_examples=15)
def test_keys_that_are_no_text(data: Any) -> None:
    if set(data) != {"attn"}:
        with pytest.raises(ValueError, match="is no kind of layer"):
            Schedule.from_json(data, IMAGE)


@given(text=st.text() | st.binary().map(lambda data: data.decode("latin-1")), cut=st.integers(0, 80))
@example(text='{"attn": [1, 0], "attn": [1, 1]}', cut=0)
@example(text='{"attn": [1], "_meta": {"x": 1e999}}', cut=0)
@example(text='{"attn": ' + "[" * 100_000, cut=0)
@example(text='{"attn": [1], "_meta": ' + '{"a": ' * 400 + "1" + "}" * 401, cut=0)
@example(text='{"attn": [' + "1" * 5000 + "]}", cut=0)
@effort(SOME, max_examples=40)
def test_any_text_is_refused(tmp_path: Path, text: str, cut: int) -> None:
    path = tmp_path / "text.json"
    if text.startswith("{") or not text.isascii():
        assert refused(text, path) is None
    whole = json.dumps(Schedule.of(IMAGE, [[1] * 9, [0, 1, 0] * 3]).to_json())
    assert refused(whole[: min(cut, len(whole) - 1)], path) is None


def test_bytes_that_are_no_text_and_folders(tmp_path: Path) -> None:
    path = tmp_path / "bytes.json"
    path.write_bytes(b'{"attn": [1, 0]}\xff')
    for bad in (path, tmp_path, tmp_path / ("x" * 300)):
        with pytest.raises(ValueError, match="schedule /"):
            Schedule.load(bad, IMAGE)
        with pytest.raises(ValueError, match="schedule /"):
            SavedSchedule(str(bad)).plan(Trajectory(IMAGE, (1.0, 0.0)))
    with pytest.raises(ValueError, match=r"cache\.policy\.path must be the name of a file, not 5"):
        SavedSchedule(5)  # type: ignore[arg-type]


@pytest.mark.parametrize("bits", [[[1, 2]], [["1", "0"]], [[1, None]], [[1, float("nan")]]])
def test_bits_that_are_none(bits: Any) -> None:
    with pytest.raises(ValueError, match="rows hold 0 and 1, not"):
        Schedule.of(IMAGE[:2], bits)


def test_schedules_that_do_not_fit_themselves() -> None:
    with pytest.raises(ValueError, match="over 0 sites"):
        Schedule((), (), ((),))
    with pytest.raises(ValueError, match="over 1 sites with 2 kinds"):
        Schedule(("blocks.0.ff",), ("ff", "ff"), ((True,),))
    with pytest.raises(ValueError, match="names is 'published' or 'canonical'"):
        Schedule.of(IMAGE[:1], [[1]]).to_json("other")


@pytest.fixture(scope="module")
def dit() -> TinyDiT:
    return build_tiny()


@given(data=st.data(), evals=st.integers(1, 6), other=st.integers(1, 8), names=st.sampled_from(NAMES))
@effort(SOME, max_examples=25)
def test_what_was_read_is_what_runs(
    tmp_path: Path, dit: TinyDiT, data: st.DataObject, evals: int, other: int, names: str
) -> None:
    sites, path = find_sites(dit.denoiser), tmp_path / "schedule.json"
    Schedule.of(sites, data.draw(rows(len(sites), evals))).save(path, names)
    schedule = Schedule.load(path, sites)
    original = dit.denoiser.forward
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a schedule that skips nothing
        with cached(dit.denoiser, schedule, evals=evals) as run:
            dit.run(batch=1, evals=evals)
        assert tuple(run.realised) == schedule.computed and run.calls == schedule.calls()
        if other != evals:
            message = f"the schedule has {evals} evaluations, but the run has {other}"
            with pytest.raises(ValueError, match=message), cached(dit.denoiser, schedule, evals=other):
                pass
            with pytest.raises(ValueError, match=rf"\b{evals}\b"), cached(dit.denoiser, schedule):
                dit.run(batch=1, evals=other)
    assert dit.denoiser.forward == original
