"""Parts of a point on several workers, seed blocks, and scores without samples."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smoothbench.config.expand import settings
from smoothbench.errors import UsageError
from tests.support.compose import composed
from tests.support.runs import pooled, run

FORA = ("only=[fora]", "solver.steps=4")
PLAIN = (*FORA, "batch_size=3")


def values(records: dict[str, Any]) -> dict[str, Any]:
    """All numbers of the scores but those of the parts."""
    return {
        name: {
            score: {k: v for k, v in entry.items() if k != "blocks"} for score, entry in r["scores"].items()
        }
        for name, r in records.items()
    }


@pytest.fixture(scope="module")
def in_one_run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The records of a run of all six seeds."""
    return run(tmp_path_factory.mktemp("whole"), *PLAIN)


@pytest.fixture(scope="module")
def three_blocks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of three seed blocks, which came in another order."""
    folder = tmp_path_factory.mktemp("blocks")
    for block in (0, 2, 1):
        run(folder, *FORA, f"seed={block}")
    return folder


@pytest.mark.parametrize("more", [(), ("keep_samples=false",)])
def test_parts_merge_to_the_whole_exactly(
    tmp_path: Path, in_one_run: dict[str, Any], more: tuple[str, ...]
) -> None:
    for part in ("3-5", "0-2"):  # in any order
        run(tmp_path, *PLAIN, f"seeds={part}", *more)
    merged = pooled(tmp_path)
    assert values(merged) == values(in_one_run)
    assert all(record["seeds"] == [[0, 3], [3, 6]] for record in merged.values())
    assert all(record["num_samples"] == 6 for record in merged.values())
    left = list((tmp_path / "runs/smoke/samples").rglob("*.png"))
    assert bool(left) != bool(more)


def test_seed_blocks_are_pooled_in_pairs(three_blocks: Path) -> None:
    merged = pooled(three_blocks)
    assert set(merged) == {"reference", "fora-interval=2"}
    record = merged["fora-interval=2"]
    assert record["seeds"] == [[0, 6], [1_000_000, 1_000_006], [2_000_000, 2_000_006]]
    entry = record["scores"]["psnr@18"]
    assert entry["n"] == 18 and len(entry["blocks"]) == 3
    assert entry["value"] == pytest.approx(np.mean(entry["blocks"]), rel=1e-12)
    delta = record["scores"]["fd_nano@18"]["delta"]
    reference = merged["reference"]["scores"]["fd_nano@18"]["value"]
    assert delta["value"] == pytest.approx(record["scores"]["fd_nano@18"]["value"] - reference)
    assert len(list(three_blocks.glob("runs/smoke/records/*.json"))) == 8  # no record of two blocks is left


def test_what_was_pooled_is_not_pooled_again(three_blocks: Path) -> None:
    written = {p: p.stat().st_mtime_ns for p in three_blocks.glob("runs/smoke/records/*.json")}
    for block in (1, 0):
        run(three_blocks, *FORA, f"seed={block}")
        now = {p: p.stat().st_mtime_ns for p in three_blocks.glob("runs/smoke/records/*.json")}
        assert now == written


def test_other_counts_are_not_pooled(tmp_path: Path) -> None:
    run(tmp_path, *FORA, "metrics=[psnr]")
    run(tmp_path, *FORA, "metrics=[psnr]", "seed=1", "num_samples=5")
    assert not pooled(tmp_path)


def test_samples_that_were_dropped_are_made_again_for_a_new_metric(
    tmp_path: Path, in_one_run: dict[str, Any]
) -> None:
    run(tmp_path, *PLAIN, "keep_samples=false", "metrics=[psnr]")
    assert not list(tmp_path.rglob("samples/*/*.png"))
    late = run(tmp_path, *PLAIN, "keep_samples=false")
    assert values(late) == values(in_one_run)
    assert not list(tmp_path.rglob("samples/*/*.png"))


@pytest.mark.parametrize("seeds", ["3-9", "4-4", "5-2", "a-b", "0", "-1-3", "0-255-3"])
def test_parts_that_do_not_exist_are_refused(seeds: str) -> None:
    with pytest.raises(UsageError, match=r"seeds=.*: must be a part a-b of the block"):
        settings(composed("+exp=smoke", "num_samples=8", f"seeds='{seeds}'"))


def test_a_block_with_a_part_missing_is_not_pooled(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for part in ("0-1", "2-3"):
        run(tmp_path, *PLAIN, "metrics=[psnr,fd_nano]", f"seeds={part}")
    assert not pooled(tmp_path)
    # another division, whose other part is there
    run(tmp_path, *PLAIN, "metrics=[psnr,fd_nano]", "seeds=2-5")
    assert pooled(tmp_path)["reference"]["seeds"] == [[0, 2], [2, 6]]
