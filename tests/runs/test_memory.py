"""Out of memory: all its texts, and a batch size that is remembered."""

import errno
from pathlib import Path
from typing import Any

import pytest
import torch

from smoothbench.errors import PointsFailed
from smoothbench.running.experiment import Experiment
from smoothbench.sampling.out_of_memory import LargestBatch, out_of_memory
from tests.support.compose import experiment
from tests.support.runs import files, read, run

SMALL = ("metrics=[psnr,fd_nano]", "only=[fora,taylor]", "solver.steps=4")
TEXTS = (
    "CUDA out of memory. Tried to allocate 2.00 GiB",
    "CUDA error: out of memory\nCompile with TORCH_USE_CUDA_DSA",
    "HIP out of memory. Tried to allocate 20.00 MiB",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "out of resource: shared memory, Required: 147456, Hardware limit: 101376.",
    "Triton Error [CUDA]: out of memory",
    "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to",
    "DefaultCPUAllocator: not enough memory: you tried to allocate 68719476736 bytes.",
    "std::bad_alloc",
)
OTHERS = (
    "cuDNN error: CUDNN_STATUS_NOT_SUPPORTED",
    "CUDA error: an illegal memory access was encountered",
    "CUBLAS_STATUS_EXECUTION_FAILED",
)


@pytest.mark.parametrize("text", TEXTS)
def test_it_is_recognised_in_all_its_texts(text: str) -> None:
    assert out_of_memory(RuntimeError(text))
    try:
        try:
            raise RuntimeError(text)
        except RuntimeError as error:
            raise ValueError("the compiled graph failed") from error
    except ValueError as error:
        assert out_of_memory(error)


@pytest.mark.parametrize("text", OTHERS)
def test_other_errors_are_not_taken_for_it(text: str) -> None:
    assert not out_of_memory(RuntimeError(text))


def test_it_is_recognised_by_type() -> None:
    assert out_of_memory(torch.OutOfMemoryError()) and out_of_memory(MemoryError())
    assert out_of_memory(OSError(errno.ENOMEM, "Cannot allocate memory"))


def test_the_cpus_allocator_is_recognised() -> None:
    with pytest.raises(RuntimeError) as error:
        torch.empty(2**60, dtype=torch.uint8)
    assert out_of_memory(error.value)


def test_a_batch_is_halved_until_it_is_no_larger_than_the_largest() -> None:
    assert LargestBatch().of(10**6) == 10**6
    assert [LargestBatch(4).of(size) for size in (4, 5, 7, 9, 16, 17)] == [4, 3, 4, 3, 4, 3]


def crowded(running: Experiment, rows: int, text: str) -> list[int]:
    """An experiment whose denoiser has memory for so many rows; the list gets the rows of all that it was asked."""
    sizes: list[int] = []

    def refuse(
        module: torch.nn.Module, args: tuple[Any, ...]
    ) -> None:  # a hook, so that the fast forward still runs
        sizes.append(len(args[0]))
        if len(args[0]) > rows:
            raise RuntimeError(text)

    running.bench.model.denoiser.register_forward_pre_hook(refuse)
    return sizes


@pytest.fixture(scope="module")
def roomy_results(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The records and the samples of a run with memory for its batches; none was halved."""
    folder = tmp_path_factory.mktemp("roomy")
    records = run(folder, *SMALL)
    assert [record["cost"].pop("batches_halved") for record in records.values()] == [0, 0, 0]
    return records, files(folder)


@pytest.mark.parametrize("text", [TEXTS[1], TEXTS[3]])
def test_a_size_that_did_not_fit_is_tried_once_a_run(
    tmp_path: Path, roomy_results: tuple[dict[str, Any], dict[str, bytes]], text: str
) -> None:
    running = experiment(tmp_path, *SMALL, "latency.rounds=0")
    sizes = crowded(running, 4, text)
    running.run()
    assert sizes.count(8) == 2  # of the forecast and of the first batch: four samples are eight rows
    records = read(tmp_path)
    assert [record["cost"].pop("batches_halved") for record in records.values()] == [1, 1, 1]
    assert (records, files(tmp_path)) == roomy_results


def test_a_latency_that_does_not_fit_is_one_line(tmp_path: Path) -> None:
    timed = ("latency.rounds=1", "latency.warmup=0", "latency.batch_size=4", "stage=cost")
    running = experiment(tmp_path, *SMALL, *timed)
    crowded(running, 4, TEXTS[1])
    with pytest.raises(
        PointsFailed, match=r"latency\.batch_size=4: does not fit into memory, take a smaller one"
    ):
        running.run()
    assert len(read(tmp_path)) == 3 and not list(tmp_path.rglob("latency.json"))
