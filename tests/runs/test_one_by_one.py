"""A pipeline that draws each sample in a call of its own is counted so: progress, memory, and what does not fit."""

from pathlib import Path
from typing import Any

import pytest
import torch

from smoothbench.config.expand import settings
from smoothbench.running.estimate import _cache_bytes
from smoothbench.running.experiment import Experiment
from smoothbench.running.todo import missing_evaluations
from smoothbench.sampling.out_of_memory import LargestBatch
from smoothbench.sampling.point_batches import generate, sample_in_parts
from tests.support.compose import composed
from tests.support.tiny_pipelines import save_tiny_dit

STEPS, SAMPLES, BATCH = 3, 4, 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny DiT in the published layout."""
    folder = tmp_path_factory.mktemp("tiny")
    save_tiny_dit(folder / "dit")
    return folder


def experiment(folder: Path, results: Path, one_by_one: bool) -> Any:
    overrides = (
        "model=pipeline",
        f"model.repo={folder / 'dit'}",
        f"model.one_by_one={str(one_by_one).lower()}",
        "model.dtype=float32",
        f"results_dir={results}",
        "metrics=[psnr]",
        "cache=fora",
        "device=cpu",
        f"solver.steps={STEPS}",
        f"num_samples={SAMPLES}",
        f"batch_size={BATCH}",
    )
    return Experiment(settings(composed(*overrides)))


@pytest.mark.parametrize(("one_by_one", "calls"), [(True, SAMPLES), (False, 2)])
def test_progress_counts_evaluations_as_they_are_announced(
    one_by_one: bool, calls: int, folder: Path, tmp_path: Path
) -> None:
    bench, announced = experiment(folder, tmp_path, one_by_one).bench, []
    point = bench.points[-1]
    expected = missing_evaluations(bench, point)
    generate(point, bench.model, bench.samples(point), lambda: announced.append(1), LargestBatch())
    assert len(announced) == expected == calls * STEPS


def test_caches_of_one_sample_are_kept_at_a_time(folder: Path, tmp_path: Path) -> None:
    alone, together = (experiment(folder, tmp_path, one_by_one).bench for one_by_one in (True, False))
    assert _cache_bytes(together, together.points[-1:]) == BATCH * _cache_bytes(alone, alone.points[-1:]) > 0


def test_what_no_single_sample_fits_is_not_tried_again(folder: Path, tmp_path: Path) -> None:
    bench, tried = experiment(folder, tmp_path, True).bench, []

    def full(module: torch.nn.Module, args: Any) -> None:
        tried.append(1)
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    bench.model.denoiser.register_forward_pre_hook(full)
    with pytest.raises(MemoryError, match="not even a batch of 1 fits into memory"):
        sample_in_parts(bench.points[-1], bench.model, range(SAMPLES), lambda: None, LargestBatch())
    assert len(tried) == 1
