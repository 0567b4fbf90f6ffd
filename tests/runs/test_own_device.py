"""GPUs that processes of one machine share out among them, on a machine that says to have two."""

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from smoothbench.config.expand import settings
from smoothbench.config.shard import Shard
from smoothbench.running.job_device import job_device
from smoothbench.running.jobs import CURRENT, Jobs
from smoothbench.sampling.own_device import own_device
from tests.support.compose import composed


@pytest.fixture
def two_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that says to have two GPUs, with a temporary folder of its own; nothing runs on them."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: f"GPU {index}")
    monkeypatch.setattr("smoothbench.sampling.own_device.POLL", 0.01)


@pytest.mark.usefixtures("two_gpus")
def test_processes_of_a_machine_take_a_gpu_each(monkeypatch: pytest.MonkeyPatch) -> None:
    with own_device("auto") as first, own_device("cuda") as second:
        assert {first, second} == {"cuda:0", "cuda:1"}
        with own_device("cuda:1") as named:
            assert named == "cuda:1"
    monkeypatch.setenv("SLURM_LOCALID", "1")
    with own_device("auto") as ranked:
        assert ranked == "cuda:1"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with own_device("auto") as one, own_device("auto") as other:
        # whoever started them shows each what it may have
        assert one == other == "auto"


@pytest.mark.usefixtures("two_gpus")
def test_jobs_of_a_launcher_take_a_gpu_each_whatever_they_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = [settings(composed("+exp=smoke", f"results_dir={tmp_path / name}")) for name in ("one", "two")]
    jobs, of_tests = Jobs(), CURRENT.set(Jobs())
    try:
        with job_device(plans[0]) as alone:
            # no multirun
            assert alone == "auto"
        CURRENT.set(jobs)
        jobs.on_multirun_start(OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}}))
        with job_device(plans[0]) as here, job_device(plans[1]) as too:
            # the command's own process runs one after another
            assert here == too == "auto"
        command = os.getpid()
        monkeypatch.setattr(os, "getpid", lambda: command + 1)
        with job_device(plans[0]) as first, job_device(plans[1]) as second:
            assert {first, second} == {"cuda:0", "cuda:1"}
            # the first needs none, and the second, a shard, takes one later
            others = [replace(plans[0], device="cpu"), replace(plans[1], shard=Shard(1, 2), device="cuda")]
            with job_device(others[0]) as third, job_device(others[1]) as fourth:
                assert (third, fourth) == ("cpu", "cuda")
    finally:
        CURRENT.reset(of_tests)
