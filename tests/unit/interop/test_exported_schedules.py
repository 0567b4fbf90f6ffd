"""python -m smoothbench.interop: what becomes of a schedule, what is refused, and ComfyUI's node."""

import json
import re
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import torch
import yaml
from torch import Tensor

from smoothbench.caching import Schedule, cached, find_sites
from smoothbench.interop.__main__ import main
from smoothbench.interop.schedules.pyramid import window
from smoothbench.interop.schedules.taylorseer import intervals
from tests.support.exported import COMPUTED, exported, run_file, where
from tests.support.tiny_denoisers import TINY
from tests.support.witness_loop import LEVELS, close

EVEN, UNEVEN = [1, 0, 0] * 4, [*COMPUTED]
WAN = "WanTransformer3DModel"
Call = Callable[[int, list[int], Callable[..., Tensor], dict[str, Tensor]], Tensor]


def refusal(capsys: pytest.CaptureFixture[str], path: Path, target: str, *options: str) -> str:
    """The line with which an export is refused; nothing else is printed or written."""
    before = sorted(path.parent.iterdir())
    capsys.readouterr()
    assert main([str(path), "--to", target, *options]) == 2
    printed = capsys.readouterr()
    assert not printed.out and printed.err.count("\n") == 1 and sorted(path.parent.iterdir()) == before
    return printed.err


@pytest.mark.parametrize(
    ("data", "target", "options", "reason"),
    [
        ({"attn": EVEN, "mlp": UNEVEN}, "cache-dit", (), "evaluation 1 computes blocks.0.ff, but not blocks.0.self"),
        ({"attn": EVEN, "mlp": UNEVEN}, "diffusers", ("--mask-only",), "TaylorSeer computes at even intervals"),
        ({"attn": EVEN, "mlp": UNEVEN}, "comfyui", (), "a mask of whole evaluations cannot say that"),
        ({"attn": UNEVEN, "mlp": UNEVEN}, "diffusers", (), "--mask-only exports these evaluations"),
        ({"attn": EVEN, "mlp": EVEN}, "cache-dit", (), "reuses the output of each branch.*--mask-only exports"),
        ({"attn": UNEVEN}, "diffusers", ("--mask-only",), "names no branch of a kind ff, .*--model FOLDER tells"),
        ({"denoiser": EVEN}, "diffusers", (), "reuses the output, .*--mask-only exports"),
        ({"span-0-27": EVEN}, "comfyui", (), "reuses what its blocks add, .*--mask-only exports"),
        ({"span-1-27": EVEN}, "diffusers", (), "all 28 blocks, not blocks 1 to 27; --to cache-dit can"),
        ({"span-0-3": EVEN, "span-5-8": EVEN}, "cache-dit", (), "leave out, or share, blocks between 3 and 5"),
        ({"span-0-27": EVEN, "denoiser": EVEN}, "comfyui", (), "sites of several levels"),
        ({"span-0-27": EVEN}, "diffusers", ("--predictor", "taylor1"), "it has no taylor1"),
        ({"denoiser": EVEN}, "comfyui", ("--predictor", "taylor2"), "it has no taylor2"),
        ({"span-0-27": UNEVEN}, "cache-dit", ("--predictor", "taylor1"), "after 4 computed evaluations, here are 2"),
        ({"attn": [1] * 12}, "comfyui", (), "it skips nothing"),
        ({"attn": EVEN, "_weights": {"table": {"*": [[0.5]] * 12}}}, "diffusers", (), "by weights of its own"),
        ({"attn": EVEN, "mlp-0": [2]}, "diffusers", (), "must be a list of 0 and 1"),
        ({"joint_attn": EVEN, "mlp": EVEN}, "diffusers", (), "joint_attn: give --model FOLDER"),
        ({"attn-0": EVEN, "attn": [1] * 12}, "diffusers", (), "blocks of a kind differ .*give --model FOLDER"),
        ({"attn-0": EVEN, "attn-1": EVEN}, "diffusers", (), "numbers the blocks of self_attn, .*give --model FOLDER"),
        ({"attn2": EVEN, "attn": [1, 0] * 6}, "diffusers", ("--forwards", "2"), "one output for both forwards"),
        ({"foo": EVEN}, "diffusers", (), "'foo' names no layers"),
        ({"span-5-2": EVEN}, "cache-dit", (), "'span-5-2' names no layers"),
        ({"attn": EVEN, "mlp": [1, 0]}, "comfyui", (), "must be equally long"),
        ({"attn": [0, 1]}, "comfyui", (), "must compute every site at its first evaluation"),
        ([1, 0], "diffusers", (), "not a JSON object"),
        ({}, "diffusers", (), "it names no kind of layer"),
    ],
)  # fmt: skip
def test_what_a_program_cannot_do_is_refused_in_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    data: Any,
    target: str,
    options: tuple[str, ...],
    reason: str,
) -> None:
    path = tmp_path / "schedule.json"
    path.write_text(json.dumps(data))
    error = refusal(capsys, path, target, *options)
    assert error.startswith("error: schedule ") and re.search(f"schedule.json: .*{reason}", error), error


def test_files_that_are_no_schedule_or_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, there = tmp_path / "schedule.json", tmp_path / "there.py"
    assert "no such file" in refusal(capsys, path, "diffusers")
    path.write_text('{"attn": [1, 0')
    assert f"schedule {path}: " in refusal(capsys, path, "diffusers")
    path.write_bytes(b"\xff\xfe\x00")
    assert f"schedule {path}: " in refusal(capsys, path, "comfyui")
    path.write_text(json.dumps({"denoiser": EVEN}))
    there.write_text("mine")
    assert "is there already" in refusal(capsys, path, "comfyui", "--out", str(there))
    assert there.read_text() == "mine"
    below = there / "below.py"
    assert "cannot be written (" in refusal(capsys, path, "comfyui", "--out", str(below))
    with pytest.raises(SystemExit, match="2"):
        main([str(path), "--to", "tensorrt"])
    assert "choose from 'diffusers', 'cache-dit', 'comfyui'" in capsys.readouterr().err


def test_a_schedule_of_another_model_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    denoiser: Any = TINY[WAN].build(WAN)
    denoiser.save_pretrained(tmp_path / "pipe/transformer")
    path, model = tmp_path / "schedule.json", str(tmp_path / "pipe")
    for data, reason in (
        ({"span-0-27": EVEN}, "no span of blocks 0 to 27 in WanTransformer3DModel"),
        ({"attn": EVEN, "temporal_mlp": EVEN}, "'temporal_mlp' names no site of the model"),
        (
            {"attn": EVEN, "_meta": {"denoiser": "Other (12)"}},
            "was planned on a Other (12), and --model is a Wan",
        ),
    ):
        path.write_text(json.dumps(data))
        assert reason in refusal(capsys, path, "diffusers", "--model", model)
    assert "has no transformer/config.json" in refusal(capsys, path, "diffusers", "--model", str(tmp_path))
    config = tmp_path / "pipe/transformer/config.json"
    for text, reason in (
        ("{", "is no configuration of a model"),
        ('{"_class_name": "NextYears"}', "has no NextYears: upgrade it"),
        ('{"_class_name": "WanTransformer3DModel", "num_layers": "x"}', "builds no WanTransformer3DModel"),
    ):
        config.write_text(text)
        assert reason in refusal(capsys, path, "diffusers", "--model", model)


def test_without_out_the_file_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "schedule.json"
    path.write_text(json.dumps({"attn": EVEN, "mlp": EVEN}))
    assert main([str(path), "--to", "cache-dit", "--mask-only", "--forwards", "2"]) == 0
    printed = capsys.readouterr()
    assert "note: branches that the schedule does not name are taken for skipped ones" in printed.err
    settings = yaml.safe_load(printed.out)["cache_config"]
    assert settings["steps_computation_mask"] == EVEN and settings["enable_separate_cfg"] is True
    assert settings["steps_computation_policy"] == "static" and settings["Fn_compute_blocks"] == 1


@pytest.mark.parametrize("target", ["diffusers", "comfyui"])
def test_names_of_schedules_do_no_harm_to_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], target: str
) -> None:
    path = tmp_path / 'a"""\\x {b}\n.json'
    path.write_text(json.dumps({"denoiser": EVEN}))
    assert main([str(path), "--to", target, "--mask-only"]) == 0
    compile(capsys.readouterr().out, "exported.py", "exec")


def test_weights_of_a_taylor_series_are_known_as_such(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sites = find_sites(TINY[WAN].build(WAN))
    schedule = Schedule.steps(sites, [bool(bit) for bit in EVEN]).with_predictor("taylor2")
    text = exported(tmp_path, schedule.to_json(), "diffusers").read_text()
    assert "max_order=2" in text and "forecasts of order 2" in text
    path = tmp_path / "schedule.json"
    assert "predicted by taylor2: --mask-only" in refusal(capsys, path, "diffusers", "--predictor", "reuse")
    assert (
        "max_order=0"
        in exported(
            tmp_path, schedule.to_json(), "diffusers", "--predictor", "reuse", "--mask-only"
        ).read_text()
    )


def test_intervals_and_windows_are_those_of_the_masks() -> None:
    """Against all masks of 7 evaluations, read as diffusers reads its settings."""
    expressible = 0
    for later in product([True, False], repeat=6):
        mask = (True, *later)
        if all(mask):
            continue
        if (found := intervals(mask)) is not None:
            expressible += 1
            interval, before, after = found
            last = len(mask) if after is None else after
            assert mask == tuple(
                e < before or (e - before - 1) % interval == 0 or e >= last for e in range(7)
            )
        if (bounds := window(mask)) is not None:
            low, high, length = bounds
            assert mask == tuple(not low < e < high or e % length == 0 for e in range(7))
    assert expressible > 20


def sampled(denoiser: Any, groups: list[list[int]], call: Call) -> Tensor:
    """Sample with two conditionings, whose numbers stand together in a group where one forward takes both."""
    x = TINY[WAN].at(0.0)["hidden_states"]
    for e, level in enumerate(LEVELS):
        given = TINY[WAN].at(level)
        texts, outputs = [given["encoder_hidden_states"], -given["encoder_hidden_states"]], list[Tensor]()
        for group in groups:
            inputs = {
                "hidden_states": torch.cat([x] * len(group)),
                "timestep": torch.cat([given["timestep"]] * len(group)),
                "encoder_hidden_states": torch.cat([texts[i] for i in group]),
            }
            outputs += call(e, group, lambda **more: denoiser(**more, return_dict=False)[0], inputs).chunk(
                len(group)
            )
        x = x - 0.1 * (outputs[0] + outputs[1])
    return x


@torch.no_grad()
def test_comfyui_node_reuses_the_output_for_each_conditioning(tmp_path: Path) -> None:
    """Both conditionings in one forward or in two, and a second run that starts anew: the samples are ours."""
    denoiser = TINY[WAN].build(WAN)
    schedule = Schedule.steps(find_sites(denoiser, "denoiser"), [bool(bit) for bit in COMPUTED])
    bare = sampled(denoiser, [[0, 1]], lambda e, group, run, inputs: run(**inputs))
    with cached(denoiser, schedule):
        expected = sampled(denoiser, [[0, 1]], lambda e, group, run, inputs: run(**inputs))
    node = run_file(exported(tmp_path, schedule.to_json(), "comfyui")).Schedule()
    sigmas, ids, computed = torch.tensor([*LEVELS, 0.0]), [uuid4(), uuid4()], list[int]()

    def through(e: int, group: list[int], run: Callable[..., Tensor], inputs: dict[str, Tensor]) -> Tensor:
        def executor(transformer_options: dict[str, Any], **more: Tensor) -> Tensor:
            computed.append(transformer_options["evaluation"])
            return run(**more)

        options = {
            "sample_sigmas": sigmas,
            "sigmas": sigmas[[e]],
            "uuids": [ids[i] for i in group],
            "evaluation": e,
        }
        output: Tensor = node(executor, transformer_options=options, **inputs)
        return output

    for groups in ([[0, 1]], [[0, 1]], [[0], [1]]):
        computed.clear()
        assert close(sampled(denoiser, groups, through), expected)
        assert computed == [e for e in where(COMPUTED) for _ in groups]
    assert not close(bare, expected, 1e-3)


@pytest.mark.parametrize(
    ("sigmas", "sigma", "reason"),
    [
        (torch.linspace(1, 0, 5), 1.0, "is for 12 steps, the sampler makes 4"),
        (torch.linspace(1, 0, 13), 0.96, "evaluates between its steps"),
    ],
)
def test_comfyui_node_refuses_other_steps(tmp_path: Path, sigmas: Tensor, sigma: float, reason: str) -> None:
    node = run_file(exported(tmp_path, {"denoiser": EVEN}, "comfyui")).Schedule()
    options = {"sample_sigmas": sigmas, "sigmas": torch.tensor([sigma]), "cond_or_uncond": [0]}
    with pytest.raises(ValueError, match=reason):
        node(None, transformer_options=options)
