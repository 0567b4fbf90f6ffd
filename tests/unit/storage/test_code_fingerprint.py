"""Fingerprints of code: what they change with, and what they do not."""

from pathlib import Path
from typing import Any

import pytest
from torch import nn

from metrics.frechet import FrechetDistance
from metrics.frechet_windows import WindowedFrechetDistance
from smoothbench.caching import Reuse, SmoothCache, Taylor
from smoothbench.storage.code_fingerprint import fingerprint, version_of
from smoothbench.storage.identity import describe
from tests.support.user_plugins import LOSS, METRIC, cell, write

CELL = """
SHARE = 0.5
def half(x):
    return x * SHARE
class Cell:
    '''A method of a notebook.'''
    scale = 1
    @property
    def width(self):
        return 3
    def plan(self, x):
        '''Say so.'''
        return half(x) if x in {"a", "b"} else [y + self.scale for y in x]
"""


def loaded(folder: Path, monkeypatch: pytest.MonkeyPatch, **sources: str) -> str:
    write(folder, monkeypatch, **{"mine": METRIC, "loss": LOSS} | sources)
    from users.mine import Mine

    return fingerprint(Mine)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""A metric."""', '"""Another text."""'),
        ("class Mine:", "import os\n\n\nclass Mine:  # a comment"),
        ("        return loss(samples)", "        return (\n            loss(\n                samples))"),
        ("class Mine:", "def unused():\n    return 1\n\nclass Mine:"),
    ],
)
def test_what_decides_no_number_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str
) -> None:
    assert old in METRIC
    before = loaded(tmp_path, monkeypatch)
    assert loaded(tmp_path, monkeypatch, mine=METRIC.replace(old, new)) == before


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("mine", "return loss(samples)", "return 2 * loss(samples)"),
        ("mine", "higher_is_better = True", "higher_is_better = False"),
        ("mine", 'inputs = ("samples",)', 'inputs = ("samples",)\n    version = 2'),
        ("loss", "mean(1)", "median(1).values"),
    ],
)
def test_what_decides_a_number_counts_also_in_a_helper(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, old: str, new: str
) -> None:
    source = {"mine": METRIC, "loss": LOSS}[module]
    assert old in source
    before = loaded(tmp_path, monkeypatch)
    assert loaded(tmp_path, monkeypatch, **{module: source.replace(old, new)}) != before


@pytest.mark.parametrize(
    ("imported", "used"),
    [
        ("from .loss import loss as of", "of(samples)"),
        ("import users.loss", "users.loss.loss(samples)"),
        ("from users import loss as module", "module.loss(samples)"),
        ("from users.again import loss", "loss(samples)"),
        ("from users.loss import *", "loss(samples)"),
        ("LATER = 1", "None\n        from users.loss import loss"),
        ("try:\n    from users.loss import loss\nexcept ImportError:\n    loss = None", "loss(samples)"),
        (
            "if True:\n    from users.loss import loss\nelse:\n    from users.none import loss",
            "loss(samples)",
        ),
    ],
)
def test_every_form_of_import_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, imported: str, used: str
) -> None:
    mine = METRIC.replace("from users.loss import loss", imported).replace("loss(samples)", used)
    again = {"mine": mine, "again": "from users.loss import loss as loss"}
    before = loaded(tmp_path, monkeypatch, **again)
    changed = LOSS.replace("mean(1)", "median(1).values")
    assert loaded(tmp_path, monkeypatch, **again, loss=changed) != before


@pytest.mark.parametrize(
    ("statement", "change"),
    [
        ('TABLE = {"a": 1}\nTABLE.update(a=1)', ("update(a=1)", "update(a=2)")),
        ('TABLE = type("T", (), {})\nsetattr(TABLE, "a", 1)', ('"a", 1)', '"a", 2)')),
        ("from contextlib import nullcontext\nwith nullcontext(1) as TABLE:\n    pass", ("(1)", "(2)")),
        ("TABLE = [1]\nTABLE[0] = 1", ("= 1", "= 2")),
    ],
)
def test_a_table_that_statements_fill_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statement: str, change: tuple[str, str]
) -> None:
    used = LOSS.replace("mean(1)", "mean(1) * bool(TABLE)")
    assert used != LOSS
    before = loaded(tmp_path, monkeypatch, loss=f"{statement}\n{used}")
    assert loaded(tmp_path, monkeypatch, loss=f"{statement.replace(*change)}\n{used}") != before


def test_a_moved_definition_stays_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = loaded(tmp_path, monkeypatch)
    moved = METRIC.replace("from users.loss import", "from users.elsewhere import")
    assert loaded(tmp_path, monkeypatch, mine=moved, elsewhere=LOSS, loss="") == before
    together = LOSS + METRIC.replace("from users.loss import loss", "")
    assert loaded(tmp_path, monkeypatch, mine=together, loss="") == before


def test_a_base_class_of_another_package_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "from {} import {} as Base\n\nclass Mine(Base):\n    pass\n"
    fingerprints = [
        loaded(tmp_path, monkeypatch, mine=source.format(module, name))
        for module, name in (
            ("metrics.frechet", "FrechetDistance"),
            ("metrics.kid", "KernelDistance"),
            ("torch.nn", "Module"),
            ("torch.nn", "Linear"),
        )
    ]
    assert len(set(fingerprints[:3])) == 3
    assert fingerprints[2] == fingerprints[3], "what is installed is known by its release"


def test_one_class_of_a_file_changes_alone() -> None:
    assert (
        len({fingerprint(each) for each in (Reuse, Taylor, SmoothCache, FrechetDistance, nn.Identity)}) == 5
    )
    assert fingerprint(FrechetDistance) == fingerprint(FrechetDistance, FrechetDistance)
    assert fingerprint(FrechetDistance) != fingerprint(WindowedFrechetDistance)


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("'''Say so.'''", "'''Otherwise.'''", True),
        ("SHARE = 0.5\n", "SHARE = 0.5\n\n\n# a comment\n", True),
        ("scale = 1", "scale = 2", False),
        ("return 3", "return 4", False),
        ("x * SHARE", "x / SHARE", False),
        ("y + self.scale", "y - self.scale", False),
    ],
)
def test_a_class_without_source_counts_by_its_bytecode(
    monkeypatch: pytest.MonkeyPatch, old: str, new: str, same: bool
) -> None:
    assert old in CELL
    before = fingerprint(cell(monkeypatch, CELL).Cell)
    assert fingerprint(cell(monkeypatch, CELL).Cell) == before
    assert (fingerprint(cell(monkeypatch, CELL.replace(old, new)).Cell) == before) == same


def test_a_version_is_declared_by_the_class_itself() -> None:
    class Second(Reuse):
        version = 2

    class Heir(Second):
        pass

    class Text:
        version: Any = "2"

    assert [version_of(each) for each in (Reuse, Second, Second(), Heir, Text)] == [1, 2, 2, None, None]
    assert describe(Reuse())["version"] == 1 and describe(Second())["version"] == 2
    assert describe(Heir())["source"] == fingerprint(Heir) != describe(Text())["source"]
