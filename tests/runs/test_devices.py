"""Which device a run takes and says that it takes, and TF32 on it."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from smoothbench.config.expand import settings
from smoothbench.errors import UsageError
from smoothbench.numerics import exact_convolutions, matmul_precision, set_tf32, tf32_cudnn, tf32_matmul
from smoothbench.running.calibrate_or_train import save_plan
from smoothbench.sampling.devices import device_of, sign_of_nvidia, started, wait_for, why_no_cuda
from smoothbench.storage.provenance import provenance
from tests.support.command_line import errors_of
from tests.support.compose import composed, experiment
from tests.support.runs import read

FEW = ("metrics=[psnr]", "only=[fora]", "solver.steps=4", "stage=cost")
BACKENDS: Any = torch.backends
NEWER = pytest.mark.skipif(not hasattr(BACKENDS, "fp32_precision"), reason="torch before 2.9")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    set_tf32(False)


def switch(place: str, value: str) -> None:
    """One of torch's newer switches, by its path below torch.backends."""
    switches = BACKENDS
    for name in place.split(".")[:-1]:
        switches = getattr(switches, name)
    setattr(switches, place.split(".")[-1], value)


PLACES = ("fp32_precision", "cudnn.fp32_precision", "cudnn.conv.fp32_precision", "cuda.matmul.fp32_precision")


@NEWER
@pytest.mark.parametrize(("place", "value"), [*itertools.product(PLACES, ("tf32", "ieee"))])
def test_tf32_is_read_and_set_after_torchs_newer_switches(place: str, value: str) -> None:
    switch(place, value)
    rounded = BACKENDS.cuda.matmul.fp32_precision == "tf32"
    assert provenance(torch.device("cpu"))["tf32"] == rounded == (matmul_precision() == "high")
    assert tf32_cudnn() == (BACKENDS.cudnn.conv.fp32_precision == "tf32")
    for allowed in (False, True):
        switch(place, value)
        set_tf32(allowed)
        assert (tf32_matmul(), tf32_cudnn()) == (allowed, allowed)
        older = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
        assert older == (allowed, allowed)  # whoever reads the older ones gets the same, and no error


@NEWER
def test_a_run_after_the_newer_switches_has_records(tmp_path: Path) -> None:
    switch("cuda.matmul.fp32_precision", "tf32")
    switch("cudnn.conv.fp32_precision", "ieee")
    experiment(tmp_path, *FEW).run()
    numerics = {str(record["numerics"]) for record in read(tmp_path).values()}
    assert len(numerics) == 1 and "'matmul': 'highest'" in numerics.pop()


def test_exact_convolutions_leave_all_as_it_was() -> None:
    for exact in (False, True):
        set_tf32(exact)
        with exact_convolutions():
            assert not tf32_cudnn() and torch.backends.cudnn.deterministic
        assert tf32_cudnn() == exact == torch.backends.cudnn.allow_tf32
        assert not torch.backends.cudnn.deterministic


def test_tf32_is_part_of_the_identity_where_it_is_on(tmp_path: Path) -> None:
    plain = experiment(tmp_path / "plain", *FEW)
    rounded = experiment(tmp_path / "rounded", *FEW, "tf32=true")
    rounded.run()
    assert rounded.bench.model.identity["numerics"] == {"device": "cpu", "matmul": "high", "tf32": True}
    record = read(tmp_path / "rounded")["reference"]
    assert record["numerics"]["tf32_matmul"] and record["numerics"]["tf32_cudnn"]
    again = experiment(tmp_path / "again", *FEW)  # in a process where it was on
    again.run()
    assert again.bench.model.identity["numerics"] == {"device": "cpu", "matmul": "highest"}
    assert not read(tmp_path / "again")["reference"]["numerics"]["tf32_cudnn"]
    assert (
        plain.bench.reference.sample_id
        == again.bench.reference.sample_id
        != rounded.bench.points[0].sample_id
    )


def test_on_a_gpu_the_identity_says_also_where_it_is_off(tmp_path: Path) -> None:
    model = experiment(tmp_path, *FEW).bench.model
    model.device = torch.device("cuda")  # older samples, which do not say so, had it on for convolutions
    assert model._identity("weights")["numerics"] == {"device": "cuda", "matmul": "highest", "tf32": False}


def test_a_calibration_takes_tf32_too(tmp_path: Path) -> None:
    few = (
        "solver.steps=4",
        "calibration.num_samples=1",
        f"results_dir={tmp_path}",
        "device=cpu",
        "tf32=true",
    )
    save_plan(settings(composed("stage=calibrate", f"out={tmp_path / 'curves.npz'}", *few)))
    assert tf32_matmul()


def test_tf32_is_true_or_false() -> None:
    with pytest.raises(UsageError, match="tf32=maybe: must be true or false"):
        settings(composed("tf32=maybe"))


SIGN = "/dev/nvidia0"


@pytest.mark.parametrize(
    ("built_for", "sign", "hiding", "said"),
    [
        (None, None, False, "no NVIDIA device is to be seen"),
        ("12.8", None, False, "no NVIDIA device is to be seen"),
        (
            None,
            SIGN,
            False,
            f"/dev/nvidia0 is there, but this torch ({torch.__version__}) is built without CUDA",
        ),
        ("12.8", SIGN, False, "built for CUDA 12.8, finds no device that it can use: is the driver too old"),
        ("12.8", SIGN, True, "CUDA_VISIBLE_DEVICES hides all devices"),
    ],
)
def test_why_there_is_no_cuda(built_for: str | None, sign: str | None, hiding: bool, said: str) -> None:
    assert said in why_no_cuda(built_for, sign, hiding)


def test_signs_of_a_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert sign_of_nvidia(tmp_path) is None
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    assert sign_of_nvidia(tmp_path) == str(tool)
    (tmp_path / "nvidiactl").touch()  # is there also where no device is
    (tmp_path / "nvidia1").touch()
    assert sign_of_nvidia(tmp_path) == str(tmp_path / "nvidia1")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_the_first_line_of_a_run_says_the_device_and_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    few = ("stage=cost", "solver.steps=2", "latency.rounds=0", f"results_dir={tmp_path}")
    code, (first, *_) = errors_of(few, tmp_path, monkeypatch, capfd)
    assert code == 0 and "device: cpu (" in first
    assert "nvidia" in first and "is there, but" in first  # the tool, or a device of this machine


def test_a_device_that_was_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        assert started("cpu", tf32=False) == torch.device("cpu")
    (line,) = caplog.messages
    assert line.startswith("device: cpu (") and line.endswith("as device=cpu asks")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_refused_device_says_why() -> None:
    with pytest.raises(
        UsageError, match=r"device=cuda: there is no CUDA device here \(.+\); use device=auto"
    ):
        device_of("cuda")


def test_the_clock_waits_for_the_device_of_the_run() -> None:
    wait: Any = wait_for(torch.device("cuda:1"))
    assert wait.func is torch.cuda.synchronize and wait.args == (torch.device("cuda:1"),)
    assert wait_for(torch.device("cpu")) is None
