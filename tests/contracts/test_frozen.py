"""The ids of everything in conf/ stay: code can be moved and written anew without orphaning a result."""

from typing import Any

import pytest

from tests.contracts import freeze


def configurations() -> list[Any]:
    """Names of all that is frozen; experiments and models of many sites are slow."""
    slow = pytest.mark.slow
    return [
        pytest.param(name, marks=[slow] * name.startswith(("exp ", "model ")))
        for name in freeze.configurations()
    ]


@pytest.mark.parametrize("name", configurations())
def test_the_ids_of_points_are_those_that_are_frozen(name: str) -> None:
    frozen, now = freeze.frozen(), freeze.now(name)
    gone = [key for key in frozen if key.partition(": ")[0] == name and key not in now]
    lines = [
        *freeze.changes(frozen, now),
        *(f"{key}: is gone: python -m tests.contracts.freeze" for key in gone),
    ]
    assert not lines, "\n".join(lines)


def test_the_hashes_of_metrics_are_those_that_are_frozen() -> None:
    lines = freeze.changes(freeze.frozen(), freeze.of_metrics())
    assert not lines, "\n".join(lines)


def test_nothing_is_frozen_that_is_gone() -> None:
    names = set(freeze.configurations())
    gone = [
        key
        for key in freeze.frozen()
        if not key.startswith("metric ") and key.partition(": ")[0] not in names
    ]
    assert not gone, f"{', '.join(gone)}: python -m tests.contracts.freeze"


def test_what_to_do_is_said() -> None:
    lines = freeze.changes({"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"})
    assert len(lines) == 2 and lines[1] == "c: is new; freeze it: python -m tests.contracts.freeze"
    assert (
        lines[0].startswith("b: its id is another than the frozen one") and "Raise the `version`" in lines[0]
    )
    assert "python -m tests.contracts.freeze" in lines[0]
