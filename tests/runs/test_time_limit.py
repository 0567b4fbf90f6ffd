"""The end of a job's time on a cluster, wherever it comes: nothing counts as failed, and the same command goes on."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf, open_dict
from torch import Tensor

from metrics.score import SampleMean, Score
from smoothbench.cli import task
from smoothbench.storage.feature_cache import Features
from smoothbench.time_limit import time_limit
from tests.support.compose import composed

submitit = pytest.importorskip("submitit.core.utils", reason="hydra/launcher=submitit_slurm is not installed")

SMALL = ("+exp=smoke", "only=[fora]", "num_samples=2", "batch_size=1", "solver.steps=4", "device=cpu")


def time_is_over(number: int, frame: FrameType | None) -> None:
    """The handler of a job that may not be started again."""
    raise submitit.UncompletedJobError("Job not requeued because: timed-out too many times.")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A job of submitit's."""
    hydra = {"overrides": {"hydra": [], "task": []}, "runtime": {"choices": {}}, "mode": "MULTIRUN"}
    monkeypatch.setattr(HydraConfig, "get", lambda: OmegaConf.create(hydra))
    before = signal.signal(signal.SIGUSR2, time_is_over)
    yield
    signal.signal(signal.SIGUSR2, before)


class Last(SampleMean):
    """A metric that the end of the job's time meets as it extracts features, or as it scores."""

    inputs = ("samples",)
    higher_is_better = True

    def __init__(self, stage: str) -> None:
        self.stage = stage

    def per_sample(self, *inputs: Tensor) -> Tensor:
        self._meet("features")
        return inputs[0].double().flatten(1).mean(1)

    def score(self, values: Features) -> Score:
        self._meet("score")
        return super().score(values)

    def _meet(self, stage: str) -> None:
        if stage == self.stage and signal.getsignal(signal.SIGUSR2) is not signal.SIG_DFL:
            os.kill(os.getpid(), signal.SIGUSR2)


def config(folder: Path, stage: str, *overrides: str) -> Any:
    cfg = composed(*SMALL, "latency.rounds=0", "metrics=[psnr]", *overrides, f"results_dir={folder}")
    with open_dict(cfg):
        cfg.metrics["last"] = {"metric": {"_target_": f"{__name__}.Last", "stage": stage}}
    return cfg


def at_the_first_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file system has the time end as the first sample is about to be written."""
    replace = os.replace

    def ends(source: Any, target: Any) -> None:
        if "samples" in Path(target).parts:
            os.kill(os.getpid(), signal.SIGUSR2)
        replace(source, target)

    monkeypatch.setattr(os, "replace", ends)


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize(
    ("stage", "shards"), [("sampling", 0), ("sampling", 2), ("features", 2), ("score", 0), ("score", 2)]
)
def test_a_job_out_of_time_fails_nothing_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, shards: int
) -> None:
    jobs = [config(tmp_path, stage, f"shards={shards}", f"shard={each}") for each in range(shards)]
    jobs = jobs or [config(tmp_path, stage)]
    with monkeypatch.context() as patched:
        if stage == "sampling":
            at_the_first_sample(patched)
        # the last shard alone scores
        if shards and stage == "score":
            assert task(jobs[0]) == 0
        with pytest.raises(submitit.UncompletedJobError, match="timed-out too many times"):
            task(jobs[-1] if stage == "score" else jobs[0])
    assert signal.getsignal(signal.SIGUSR2) is time_is_over
    assert not list(tmp_path.rglob("records/*.json"))
    notes = [json.loads(path.read_text()) for path in tmp_path.rglob("shard.json")]
    assert [note for note in notes if "drawn" in note] == (notes if stage == "score" else [])
    assert not any(note.get("points") for note in notes)
    signal.signal(signal.SIGUSR2, signal.SIG_DFL)
    assert [task(cfg) for cfg in jobs] == [0] * len(jobs)
    records = [json.loads(path.read_text()) for path in tmp_path.rglob("records/*.json")]
    assert len(records) > 1 and {record["status"]["quality"] for record in records} == {"done"}


def test_the_signal_that_submitit_is_told_to_take_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUBMITIT_PREEMPT_SIGNAL", "USR1")
    before = signal.signal(signal.SIGUSR1, time_is_over)
    try:
        with pytest.raises(submitit.UncompletedJobError), time_limit():
            try:
                os.kill(os.getpid(), signal.SIGUSR1)
            except Exception as error:
                pytest.fail(f"caught on the way: {error}")
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_without_a_handler_the_signal_stays_as_it_is() -> None:
    with time_limit():
        assert signal.getsignal(signal.SIGUSR2) is signal.SIG_DFL
