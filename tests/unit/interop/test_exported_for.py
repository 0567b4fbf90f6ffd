"""python -m smoothbench.interop on the files of stage=tune, which say what network and which settings they are for."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from smoothbench.interop.__main__ import main
from tests.support.exported import exported, run_file

EVEN = [1, 0, 0] * 4
WINDOWS = {"attn": [1, 1, 1, *[0, 1] * 3, 1, 1, 1], "attn2": [1, 0, 0, 0, 0] * 2 + [1, 0], "mlp": [1] * 12}


def made_for(component: str, steps: int = 12, **more: Any) -> dict[str, Any]:
    about = {"model": {"component": component}, "solver": {"name": "pipeline_scheduler", "steps": steps}}
    return {"_meta": {"made_for": about, **more}}


@pytest.mark.parametrize(
    ("data", "target", "options", "reason"),
    [
        ({"span-0-5": EVEN, **made_for("transformer", restarts=[6])}, "diffusers", (), "covers two networks"),
        ({"span-0-5": EVEN, **made_for("transformer", restarts=[6])}, "cache-dit", (), "covers two networks"),
        ({"denoiser": EVEN, **made_for("transformer", restarts=[6])}, "comfyui", (), "covers two networks"),
        (
            {"span-0-5": EVEN, **made_for("transformer_2")},
            "cache-dit",
            (),
            "is for the pipeline's transformer_2",
        ),
        (
            {**WINDOWS, **made_for("transformer", steps=20)},
            "diffusers",
            (),
            "scheduler's 20 steps, .* 12 evaluations",
        ),
        ({**WINDOWS, **made_for("transformer", forwards=2)}, "diffusers", (), "one output for both forwards"),
    ],
)
def test_what_another_program_cannot_follow_is_refused(
    data: dict[str, Any],
    target: str,
    options: tuple[str, ...],
    reason: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "schedule.json"
    path.write_text(json.dumps(data))
    assert main([str(path), "--to", target, *options]) == 2
    printed = capsys.readouterr()
    assert not printed.out and printed.err.count("\n") == 1 and re.search(reason, printed.err)
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_is_for_the_component_and_the_steps_that_it_was_tuned_for(tmp_path: Path) -> None:
    file = exported(tmp_path, {"span-0-27": EVEN, **made_for("transformer_2", steps=7)}, "diffusers")
    assert "num_inference_steps=7" in file.read_text()
    second = SimpleNamespace(named_children=lambda: iter(()))
    with pytest.raises(ValueError, match="is for 28 blocks, this transformer has 0"):
        run_file(file).enable(SimpleNamespace(transformer=None, transformer_2=second))


@pytest.mark.parametrize(
    ("forwards", "said"), [(2, "enable_separate_cfg: true"), (1, "enable_separate_cfg: false")]
)
def test_forwards_of_an_evaluation_follow_from_the_file(forwards: int, said: str, tmp_path: Path) -> None:
    data = {"span-0-27": EVEN, **made_for("transformer", forwards=forwards)}
    assert said in exported(tmp_path, data, "cache-dit").read_text()
