"""Latency under more conditions: what is measured, what is refused, and what is measured again."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from smoothbench.caching.compiled import Compiled
from smoothbench.config.expand import settings
from smoothbench.costs.latency_conditions import check_conditions
from smoothbench.errors import PointsFailed, UsageError
from smoothbench.storage.latency_file import Latency
from tests.support.compose import composed, experiment

FEW = ("stage=cost", "only=[fora]", "solver.steps=4", "latency.rounds=2", "latency.batch_size=1")
TWO = "latency.also={mode:[eager],batch_size:[1,2]}"
STREAM = 2 * 49 * 96 * 4  # bytes: guidance rows of a sample, tokens, width, float32
KEPT = 12 * STREAM  # of all sites, in a graph
SUMMED = 2 * STREAM + 2 * 28 * 28 * 4 + 2 * 2 * 8  # stream and sum; pictures, timesteps and classes


@pytest.fixture(scope="module", autouse=True)
def fresh_dynamo() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def files(folder: Path) -> dict[str, Any]:
    """The contents of latency/, by name."""
    found = (folder / "runs/smoke/latency").glob("*")
    return {path.name: json.loads(path.read_text()) for path in sorted(found)}


def by_name(content: dict[str, Any]) -> dict[str, Any]:
    return {point["name"]: point for point in content["points"].values()}


@pytest.fixture(scope="module")
def eager_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two batch sizes of the reference, its twin and FORA N=2."""
    folder = tmp_path_factory.mktemp("eager")
    experiment(folder, *FEW, TWO, sweeps={"fora": {"cache.policy.interval": [1, 2]}}).run()
    return folder


def test_each_condition_is_a_file_of_its_own(eager_results: Path) -> None:
    found = files(eager_results)
    assert list(found) == ["float32-eager-1.json", "float32-eager-2.json"]
    for batch, content in enumerate(found.values(), 1):
        Latency.from_json(content)
        condition = {key: content[key] for key in ("dtype", "mode", "batch_size", "rounds", "schema")}
        wanted = {"dtype": "float32", "mode": "eager", "batch_size": batch, "rounds": 2, "schema": 3}
        assert condition == wanted
        points = by_name(content)
        assert set(points) == {"reference", "fora-interval=1", "fora-interval=2"}
        assert points["fora-interval=2"]["cache_bytes"] == batch * SUMMED
        assert all(point["reference_seconds"] == points["reference"]["seconds"] for point in points.values())


def test_the_reference_is_timed_on_the_untouched_model_also_where_a_twin_shares_its_samples(
    eager_results: Path,
) -> None:
    usual = json.loads((eager_results / "runs/smoke/latency.json").read_text())
    for content in (usual, *files(eager_results).values()):
        points = by_name(content)
        assert points["reference"]["cache_bytes"] == 0 == points["fora-interval=1"]["cache_bytes"]


def test_what_was_measured_is_kept_and_what_is_damaged_measured_again(eager_results: Path) -> None:
    folder, again = eager_results / "runs/smoke/latency", partial(experiment, eager_results, *FEW)
    first, second = folder / "float32-eager-1.json", folder / "float32-eager-2.json"
    before = first.read_bytes(), second.read_bytes()
    again(TWO, sweeps={"fora": {"cache.policy.interval": [1, 2]}}).run()
    assert (first.read_bytes(), second.read_bytes()) == before
    content = json.loads(before[1])
    next(iter(content["points"].values()))["seconds"] = [0.0]
    for damage in (before[1][:100], json.dumps(content).encode()):
        second.write_bytes(damage)
        again(TWO, sweeps={"fora": {"cache.policy.interval": [1, 2]}}).run()
        assert first.read_bytes() == before[0] and second.read_bytes() != damage
        Latency.from_json(json.loads(second.read_bytes()))


def test_compiled_points_are_static_and_compared_with_the_bare_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smoothbench.costs.latency_conditions.Compiled", partial(Compiled, backend="eager"))
    asked = ("only=[fora,taylor]", "latency.warmup=0", "latency.rounds=1")
    also = "latency.also={mode:[eager,compiled]}"
    run = experiment(tmp_path, *FEW[:1], *FEW[2:3], "latency.batch_size=1", *asked, also)
    run.run()
    found = files(tmp_path)
    names = {mode: by_name(found[f"float32-{mode}-1.json"]) for mode in ("eager", "compiled")}
    assert set(names["eager"]) == {"reference", "fora-interval=2", "taylor"}
    assert set(names["compiled"]) == {"reference", "fora-interval=2"}
    for mode, points in names.items():
        kept = SUMMED if mode == "eager" else KEPT
        assert (points["reference"]["cache_bytes"], points["fora-interval=2"]["cache_bytes"]) == (0, kept)
    assert [found[f"float32-{mode}-1.json"]["warmup"] for mode in names] == [0, 1]  # compiling is not timed
    assert not any("forward" in vars(module) for module in run.bench.model.denoiser.modules())


def test_a_condition_that_fails_is_named_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_compiler(graph: Any, inputs: Any) -> Any:
        raise RuntimeError("no C++ compiler\nwas found")

    monkeypatch.setattr(
        "smoothbench.costs.latency_conditions.Compiled", partial(Compiled, backend=no_compiler)
    )
    run = experiment(tmp_path, *FEW, "latency.also={mode:[compiled,eager]}")
    with pytest.raises(PointsFailed, match="under 1 conditions: float32-compiled-1"):
        run.run()
    (said,) = [each.getMessage() for each in caplog.records if each.levelname == "ERROR"]
    assert said.startswith("latency: float32-compiled-1 failed: ") and "no C++ compiler was found" in said
    assert list(files(tmp_path)) == ["float32-eager-1.json"]


def test_a_dtype_that_the_model_lacks_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    both = "latency.also={dtype:[float32,bfloat16]}"
    with pytest.raises(UsageError) as error:
        experiment(tmp_path, *FEW, both)
    assert str(error.value).startswith("latency.also.dtype=bfloat16: dit_nano computes in float32 alone")
    assert "\n" not in str(error.value)
    assert not [path for path in (tmp_path / "runs/smoke").rglob("*") if path.suffix]


@pytest.mark.parametrize("override", ["latency.rounds=0", "latency.device=cuda"])
def test_what_is_not_measured_is_not_refused(tmp_path: Path, override: str) -> None:
    also = "latency.also={dtype:[bfloat16]}"
    run = experiment(tmp_path, *(each for each in FEW if "rounds" not in each), override, also)
    check_conditions(run.settings, run.bench.model)


@pytest.mark.parametrize(
    ("also", "message"),
    [
        ("3", "latency.also=3: must be a node of lists (dtype, mode, batch_size)"),
        ("{batch_size:4}", "latency.also.batch_size=4: must be a list"),
        ("{mode:[]}", "latency.also.mode=[]: must be a list"),
        ("{mode:[fast]}", "latency.also.mode=fast: there are eager, compiled"),
        ("{dtype:[int8]}", "latency.also.dtype=int8: there are float32, bfloat16, float16"),
        ("{dtype:[null]}", "latency.also.dtype=None: there are float32"),
        ("{mode:[[eager]]}", "latency.also.mode=['eager']: there are"),
        ("{batch_size:[0]}", "latency.also: latency.batch_size=0: must be a whole number from 1"),
        ("{batch_size:[1.5]}", "latency.batch_size=1.5: must be a whole number"),
        ("{batch_size:[true]}", "latency.batch_size=True: must be a whole number"),
    ],
)
def test_bad_values_are_one_clear_line(also: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        settings(composed("+exp=smoke", f"latency.also={also}"))
    assert message in str(error.value) and "\n" not in str(error.value)
