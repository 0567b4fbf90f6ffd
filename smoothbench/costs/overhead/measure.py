"""Measure one model part by part: every part prints its lines as it goes, and returns what the JSON file holds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from smoothbench.costs.overhead.beside import beside
from smoothbench.costs.overhead.cases import Case, case
from smoothbench.costs.overhead.kernels import kernels
from smoothbench.costs.overhead.realised import Rounds, realised
from smoothbench.costs.overhead.reused import reused
from smoothbench.costs.overhead.tables import (
    BESIDE,
    beside_lines,
    kernels_line,
    realised_lines,
    reused_lines,
)
from smoothbench.costs.peers.peer import Peer

OWN = "own"  # the predictor that a cache's file names
PARTS = ("realised", "reused", "kernels", "peers")
# a published model's depth, narrow and with random weights: how many kernels it launches depends on no width
NARROW = (
    "model.weights=random",
    "model.architecture.num_attention_heads=2",
    "model.architecture.attention_head_dim=8",
)
DEEP = {"dit_nano": ("dit_xl_2_256", NARROW)}
KERNEL_STEPS = 6  # the counted evaluations are the first four

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What is measured of every model; the keys of `rounds` are the sizes of batches.

    `caches` are names in conf/cache with changes, each run with every one of `predictors` (`own`: that of its file) on
    the sites of every one of `levels`; `steps` are the solver's, None for its own number. `masks` are ours for the
    comparison with the `peers`: every second evaluation, and every third.
    """

    parts: Sequence[str]
    rounds: Mapping[int, Rounds]
    steps: int | None
    caches: Sequence[str]
    predictors: Sequence[str]
    levels: Sequence[str]
    masks: Sequence[str]
    peers: Sequence[Peer]


def measure(model: str, plan: Plan, say: Say) -> dict[str, Any]:
    """Measure the parts of a plan on a model; UsageError where the model or a cache cannot be composed."""
    result: dict[str, Any] = {"model": model}
    if "kernels" in plan.parts:
        result["kernels"] = _kernels(model, plan.levels, say)
    caches = [
        cache if p == OWN else f"{cache},predictor={p}" for p in plan.predictors for cache in plan.caches
    ]
    subject = case(model, caches if "realised" in plan.parts else [], plan.steps, plan.levels)
    result["evaluations"] = len(subject.solver.coordinates)
    say(f"{result['evaluations']} evaluations")
    for part, run in (("realised", _realised), ("reused", _reused)):
        if part in plan.parts:
            result[part] = [run(subject, batch, rounds, say) for batch, rounds in plan.rounds.items()]
    if "peers" in plan.parts:
        subject = case(model, plan.masks, plan.steps, plan.levels)
        say(BESIDE)
        result["peers"] = [_beside(subject, batch, plan, say) for batch in plan.rounds]
    return result


def _kernels(model: str, levels: Sequence[str], say: Say) -> list[dict[str, Any]]:
    counted = []
    for name, overrides in ((model, ()), *((DEEP[model],) if model in DEEP else ())):
        subject = case(name, [], KERNEL_STEPS, levels, overrides, torch.device("meta"))
        for row in kernels(subject):
            say(kernels_line(name, row))
            counted.append({"model": name, **asdict(row)})
    return counted


def _realised(subject: Case, batch: int, rounds: Rounds, say: Say) -> dict[str, Any]:
    rows = realised(subject, batch, rounds)
    for line in realised_lines(batch, rows):
        say(line)
    return {"batch": batch, "runs": [asdict(row) for row in rows]}


def _reused(subject: Case, batch: int, rounds: Rounds, say: Say) -> dict[str, Any]:
    rows = reused(subject, batch, rounds)
    for line in reused_lines(batch, rows):
        say(line)
    return {"batch": batch, "levels": [asdict(row) for row in rows]}


def _beside(subject: Case, batch: int, plan: Plan, say: Say) -> dict[str, Any]:
    table, absent = beside(subject, batch, plan.rounds[batch], plan.peers)
    for line in (*beside_lines(batch, table), *absent):
        say(line)
    rows = {name: [asdict(row) for row in by_interval] for name, by_interval in table.items()}
    return {"batch": batch, "caches": rows, "absent": absent}
