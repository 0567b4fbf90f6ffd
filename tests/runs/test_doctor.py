"""`python -m smoothbench.doctor`: sound machines pass, broken ones get a line, and one broken check stops no other."""

import fcntl
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.core.global_hydra import GlobalHydra

from smoothbench.models.nano.image.model import PixelDiT
from smoothbench.running.doctor import (
    command,
    folder,
    machine,
    models,
    numerics,
    packages,
    paper,
    paper_scores,
    speed,
)
from smoothbench.running.doctor.embedded import CPU, Embedded
from smoothbench.running.doctor.finding import Check, Finding, examined, judged
from smoothbench.storage import mount
from tests.support.pretended_cuda import CUDA, pretended_cuda


@pytest.fixture(autouse=True)
def no_configuration() -> None:
    GlobalHydra.instance().clear()


@pytest.fixture
def device() -> Iterator[torch.device]:
    with pretended_cuda():
        yield CUDA


def verdicts(checks: list[Check]) -> dict[str, str]:
    return {finding.subject: finding.verdict for finding in examined(checks)}


def only(checks: list[Check]) -> Finding:
    (finding,) = examined(checks)
    return finding


def test_the_command_on_this_machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The DiT alone, as the other models take seconds."""
    monkeypatch.setattr(models, "TOLERANCES", {"dit_nano": 1e-4})
    results = tmp_path / "results"
    assert command.main(["device=cpu", f"results_dir={results}", "compile=false"]) == 0
    *lines, summary = capsys.readouterr().out.splitlines()
    assert all(line.split()[0] in ("ok", "warn") for line in lines) and " 0 FAIL; " in summary
    text = "\n".join(lines)
    for part in (
        "torch 2",
        "float32 products",
        "dit_nano: calibration",
        "TFLOPS",
        "ms +-",
        "results folder: locks",
    ):
        assert part in text
    for name in ("dit_ddim", "uvit_dpm", "stable_audio_dpmpp3m", "opensora_rflow"):
        assert f"paper/{name}: memory" in text and f"paper/{name}: weights" in text
    assert "hf download facebook/DiT-XL-2-256" in text and "extra video" in text
    assert not list(tmp_path.iterdir()), "it leaves nothing behind"


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("rounds=3", "'rounds': no such setting; there are device, results_dir, compile, as KEY=VALUE"),
        ("compile=maybe", "compile='maybe': must be true or false"),
        ("device=tpu", "device='tpu': no such device; use auto, cpu or cuda"),
    ],
)
def test_what_it_refuses(argument: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([argument]) == 2
    assert capsys.readouterr().err == f"error: {message}\n"


def test_a_failure_is_a_line_and_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def breaks() -> Iterator[Finding]:
        yield Finding("ok", "the first half", "is fine")
        raise RuntimeError("CUDA error:\nan illegal memory access")

    def fine() -> Iterator[Finding]:
        yield judged(True, "the other check", "goes on", "unseen advice")
        yield judged(False, "a slow disk", "90 ms", "another results_dir", otherwise="warn")

    monkeypatch.setattr(command, "checks", lambda *_: [Check("a broken check", breaks), Check("fine", fine)])
    assert command.main(["device=cpu"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["ok", "FAIL", "ok", "warn"]
    assert "a broken check" in lines[1] and "RuntimeError: CUDA error: an illegal memory access" in lines[1]
    assert "unseen" not in lines[2] and lines[3].endswith("90 ms  -> another results_dir")
    assert lines[4].startswith("2 ok, 1 warn, 1 FAIL; ")


def test_a_sound_device_is_as_the_cpu(device: torch.device) -> None:
    """On a pretended one; arithmetic is timed on real ones alone."""
    found = verdicts([*numerics.checks(device), *models.checks(Embedded("dit_nano", 1e-4, device))])
    assert set(found.values()) == {"ok"} and len(found) == 12, found
    assert "dit_nano: as on the CPU" in found
    gpu = {finding.subject: finding for finding in examined(machine.checks(device))}
    assert gpu["device"].measured == "cuda:0: Pretended GPU, compute capability 9.0"
    assert (
        gpu["cuda:0: memory"].measured == "85 of 86 GB are free" and gpu["cuda:0: computes"].verdict == "ok"
    )
    assert gpu["bfloat16"].verdict == "ok"
    peak = [
        check for check in speed.checks(device, Embedded("dit_nano", 1e-4, device)) if "use" in check.subject
    ]
    assert only(peak).verdict == "ok"


def test_a_model_that_computes_otherwise_there_fails(
    device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = PixelDiT.run

    def off(self: PixelDiT, denoiser: Any, x: torch.Tensor, *rest: Any) -> torch.Tensor:
        return run(self, denoiser, x, *rest) * (1.01 if x.is_cuda else 1.0)

    monkeypatch.setattr(PixelDiT, "run", off)
    found = verdicts(models.checks(Embedded("dit_nano", 1e-4, device))[:5])
    assert found["dit_nano: as on the CPU"] == found["dit_nano: caching"] == "FAIL"
    assert found["dit_nano: same seeds"] == found["dit_nano: after caching"] == "ok"


def test_a_model_that_cannot_be_built_fails_each_of_its_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **more: Any) -> Any:
        raise ValueError("weights dit/config.json: no such file")

    monkeypatch.setattr(PixelDiT, "__init__", broken)
    findings = list(examined([*models.checks(Embedded("dit_nano", 1e-4, CPU)), *packages.checks()]))
    of_model = [finding for finding in findings if finding.subject.startswith("dit_nano")]
    assert len(of_model) == 7 and {finding.verdict for finding in of_model} == {"FAIL"}
    assert all("weights dit/config.json: no such file" in finding.measured for finding in of_model)
    assert any(finding.subject.startswith("extra") for finding in findings)


def test_rounded_float32_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    matmul = torch.matmul

    def coarse(*inputs: torch.Tensor) -> torch.Tensor:
        return matmul(*(i.bfloat16().to(i.dtype) if i.dtype == torch.float32 else i for i in inputs))

    monkeypatch.setattr(torch, "matmul", coarse)
    finding = only(numerics.checks(CPU)[:1])
    assert finding.verdict == "FAIL" and "TF32" in finding.advice


def test_a_gpu_that_torch_does_not_see_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "sign_of_nvidia", lambda: "/dev/nvidia0")
    monkeypatch.setattr(machine, "hidden", lambda: False)
    finding = machine._no_gpu(CPU)
    assert finding.verdict == "FAIL" and "/dev/nvidia0 is there, but" in finding.measured
    monkeypatch.setattr(machine, "hidden", lambda: True)
    assert machine._no_gpu(CPU).verdict == "warn"


def test_a_results_folder_without_locks_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: Any) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", none)
    found = {finding.subject: finding for finding in examined(folder.checks(tmp_path / "not/yet"))}
    locks = found["results folder: locks"]
    assert locks.verdict == "warn"
    assert locks.measured.endswith(
        ", leases (no file locks: Operation not supported); another process is kept out"
    )
    assert "results folder: space" in found


def test_the_file_system_and_the_kind_of_its_locks_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mount, "MOUNTS", tmp_path / "mountinfo")
    (tmp_path / "mountinfo").write_text(f"22 1 0:9 / {tmp_path} rw - lustre mgs:/work rw,flock\n")
    (locks, *_) = examined(folder.checks(tmp_path))
    assert locks.measured == f"{tmp_path}: lustre, file locks; another process is kept out"
    (tmp_path / "mountinfo").write_text(f"22 1 0:9 / {tmp_path} rw - lustre mgs:/work rw,localflock\n")
    (locks, *_) = examined(folder.checks(tmp_path))
    assert (locks.verdict, locks.measured) == (
        "warn",
        f"{tmp_path}: lustre, leases (file locks of this machine alone: mounted with localflock); another process is "
        "kept out",
    )


def test_a_package_that_is_not_installed_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    version = metadata.version

    def without(name: str) -> str:
        if name == "ftfy":
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", without)
    found = {finding.subject: finding for finding in examined(packages.checks())}
    assert (found["extra video"].verdict, found["extra video"].measured) == ("warn", "missing: ftfy")
    assert found["extra video"].advice == "pip install -e '.[video]'" and "extra dev" not in found


def test_memory_that_does_not_suffice_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paper, "free_bytes", lambda _: 4 * 10**9)
    check = next(check for check in paper.checks(CPU) if check.subject == "paper/dit_ddim")
    memory = next(check.findings())
    assert (memory.verdict, memory.advice) == ("warn", "batches are halved until they fit")
    assert (
        memory.measured.startswith("weights 3.0 GB, cache 4.2 GB at batch 32")
        and "4 GB free" in memory.measured
    )


def test_scores_that_cannot_be_computed_are_named_with_the_way_out() -> None:
    check = next(
        check for check in paper_scores.checks() if check.subject == "paper/stable_audio_dpmpp3m: scores"
    )
    by_metric = {finding.subject.split(": ")[1]: finding for finding in examined([check])}
    assert by_metric["clap"].verdict == "warn" and "hf download laion/clap" in by_metric["clap"].measured


def test_scores_that_can_all_be_computed_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paper_scores, "_reason", lambda *_: None)
    check = paper_scores.checks()[0]
    assert only([check]) == Finding("ok", check.subject, "all 7 can be computed")
