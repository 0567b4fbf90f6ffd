"""Plug-ins that cannot be built: what an import or a call fails with is said in one line."""

from pathlib import Path

import pytest

from smoothbench.config.instantiate import build
from smoothbench.errors import UsageError
from tests.support.user_plugins import cell


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import no_such_module", r"ModuleNotFoundError: No module named 'no_such_module'"),
        (
            "raise RuntimeError('operator torchvision::nms does not exist')",
            "RuntimeError: operator torchvision",
        ),
        ("raise ValueError('Key backend: bad')", "ValueError: Key backend: bad"),
        (
            "",
            "ModuleNotFoundError: No module named 'broken_module_3.Thing'; 'broken_module_3' is not a package",
        ),
    ],
)
def test_what_an_import_fails_with_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, message: str, request: pytest.FixtureRequest
) -> None:
    number = request.node.callspec.indices["source"]
    (tmp_path / f"broken_module_{number}.py").write_text(source + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError) as error:
        build({"_target_": f"broken_module_{number}.Thing"}, "metrics.psnr")
    text = str(error.value)
    assert text.startswith(f"metrics.psnr: broken_module_{number}.Thing cannot be imported ({message}")
    assert "\n" not in text and "HYDRA_FULL_ERROR" not in text


def test_what_a_call_fails_with_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "class Thing:\n    def __init__(self):\n        raise RuntimeError('no licence')\n"
    (tmp_path / "broken_call.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match=r"^here: RuntimeError: no licence$"):
        build({"_target_": "broken_call.Thing"}, "here")


def test_a_model_without_its_forward_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    base = "from smoothbench.models.base.class_conditional import ClassConditional\n"
    cell(monkeypatch, f"{base}class Half(ClassConditional):\n    def empty(self): ...\n")
    given = {"name": "half", "config": {}, "shape": [1], "classes": 1, "guidance": 1.0}
    with pytest.raises(
        UsageError, match=r"model: Can't instantiate abstract class Half with abstract method run$"
    ):
        build({"_target_": "cells.Half", **given, "device": "cpu"}, "model")
