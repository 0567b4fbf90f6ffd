"""Every parameter that a plug-in takes is in its description, in whatever form the class keeps it."""

import json
from collections.abc import Callable
from dataclasses import InitVar, dataclass
from enum import Enum
from math import inf
from typing import Any

import pytest

from baselines.fora import FORA
from smoothbench.config.instantiate import build
from smoothbench.storage.identity import describe


@dataclass(frozen=True)
class Gate:
    threshold: float = 0.1


@dataclass(frozen=True)
class Gated:
    gates: Any
    name, version = "gated", 1


class Boosted(FORA):
    name, version = "boosted", 1

    def __init__(self, boost: int, interval: int = 2) -> None:
        super().__init__(interval)


@dataclass
class Started:
    start: InitVar[int]
    name, version = "started", 1

    def __post_init__(self, start: int) -> None:
        self.offset = start


class Mode(Enum):
    FAST = "fast"
    EXACT = "exact"


@dataclass
class Moded:
    mode: Any
    name, version = "moded", 1

    def __post_init__(self) -> None:
        self.mode = Mode(self.mode)


@dataclass(frozen=True)
class Limited:
    limit: float = inf
    name, version = "limited", 1


def node(cls: Callable[..., Any], **parameters: Any) -> dict[str, Any]:
    return {"_target_": f"{__name__}.{cls.__name__}", **parameters}


@pytest.mark.parametrize(
    "nodes",
    [
        [node(Gated, gates=[node(Gate, threshold=value)]) for value in (2.0, 3.0)],
        [node(Gated, gates={"first": node(Gate, threshold=value)}) for value in (2.0, 3.0)],
        [node(Boosted, boost=value) for value in (1, 2)],
        [node(Started, start=value) for value in (1, 2)],
        [node(Moded, mode=value) for value in ("fast", "exact")],
    ],
    ids=["nodes in a list", "nodes in a mapping", "own constructor", "InitVar", "Enum"],
)
def test_other_parameters_are_another_description(nodes: list[dict[str, Any]]) -> None:
    descriptions = [json.dumps(describe(build(each, "cache"), each), allow_nan=False) for each in nodes]
    assert descriptions[0] != descriptions[1]


def test_a_default_that_json_cannot_say_is_text() -> None:
    assert describe(Limited(), node(Limited))["parameters"] == {"limit": "inf"}
