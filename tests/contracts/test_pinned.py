"""A plug-in whose code changes gets a new version, or is pinned anew because its numbers stay."""

from pathlib import Path

import pytest

from smoothbench.caching import Reuse
from tests.contracts import pin

NAME = "smoothbench.caching.predictor.Reuse"


def test_code_and_version_of_every_plugin_are_those_that_are_pinned() -> None:
    lines = pin.changes(pin.pinned(), pin.now())
    assert not lines, "\n".join(lines)


@pytest.mark.parametrize("name", pin.plugins())
def test_every_plugin_declares_its_own_version(name: str) -> None:
    version = vars(pin.plugins()[name]).get("version")
    assert type(version) is int and version >= 1, f"{name} needs `version = 1` in its own body"


def test_every_plugin_has_a_name_of_its_own_among_its_kind() -> None:
    lines = pin.misnamed(pin.plugins())
    assert not lines, "\n".join(lines)


def test_a_missing_name_and_a_taken_one_are_said() -> None:
    class Nameless(Reuse):
        version = 1

    class Second(Reuse):
        name = "reuse"
        version = 1

    lines = pin.misnamed({"a.Reuse": Reuse, "b.Nameless": Nameless, "c.Second": Second})
    assert lines == [
        'b.Nameless needs `name = "..."` in its own body, a short name that no other predictor has',
        "c.Second and a.Reuse are both the predictor 'reuse': give one another `name`",
    ]


def test_every_kind_of_plugin_is_pinned() -> None:
    names = set(pin.plugins())
    assert {NAME, "smoothbench.caching.predictor.Taylor", "baselines.fora.FORA"} <= names
    assert {"metrics.paired.PSNR", "smoothbench.models.nano.image.evaluator.Evaluator"} <= names
    assert {"smoothbench.solvers.ddim.DDIM", "smoothbench.models.nano.image.model.PixelDiT"} <= names


def test_what_to_do_is_said() -> None:
    old = {NAME: {"version": 1, "source": "a"}}
    said = {
        line: pin.changes(old, new)
        for line, new in {
            "": old,
            "its code changed and its version did not (1): raise its `version` by one if the same parameters can "
            "give other numbers": {NAME: {"version": 1, "source": "b"}},
            "version 1 -> 2; pin it: python -m tests.contracts.pin": {NAME: {"version": 2, "source": "b"}},
            "version 1 -> None: a version never falls": {NAME: {"version": None, "source": "b"}},
            "is gone; unpin it: python -m tests.contracts.pin": {},
        }.items()
    }
    assert said.pop("") == []
    assert all(len(lines) == 1 and line in lines[0] for line, lines in said.items())
    assert pin.changes({}, old) == [f"{NAME}: is new; pin it: python -m tests.contracts.pin"]


def test_pinning_prints_what_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pin, "FILE", tmp_path / "pinned.json")
    monkeypatch.setattr(pin, "plugins", lambda: {NAME: Reuse})
    assert pin.main() == 0 and "is new" in capsys.readouterr().out
    assert pin.main() == 0 and capsys.readouterr().out == "nothing changed\n"
    monkeypatch.setattr(Reuse, "version", 0)
    before = pin.FILE.read_bytes()
    assert pin.main() == 1 and "never falls" in capsys.readouterr().out
    assert pin.FILE.read_bytes() == before
