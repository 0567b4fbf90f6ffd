"""A tuned schedule as its file holds it, with what was measured, and what is printed of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from smoothbench.caching import Schedule
from smoothbench.caching.fingerprint import DENOISER, fingerprint
from smoothbench.caching.weighted_sum import WeightedSum
from smoothbench.planning.made_for import MADE_FOR, made_for
from smoothbench.planning.point import Point
from smoothbench.protocols import Config, Model, SamplesItself, ShowsCoordinates, Solver
from smoothbench.running.tuned_rival import Rival
from smoothbench.running.tuned_snippet import snippet
from smoothbench.storage.files import read_json
from smoothbench.storage.latency_file import Latency
from smoothbench.storage.record import Record
from smoothbench.storage.score_entry import ScoreEntry

WORST = {True: "0.05", False: "0.95"}  # the quantile that bounds the worst 5 %, by whether higher is better


@dataclass(frozen=True)
class Tuned:
    """A tuned point, its record over the held-out samples, and the seconds of a batch with and without its schedule.

    `paired` names the metrics that compare with the uncached samples; `rival` is no cache with fewer steps.
    """

    point: Point
    record: Record
    reason: str
    seconds: tuple[float, float] | None
    paired: Sequence[str]
    rival: Rival | None = None

    @property
    def losses(self) -> dict[str, ScoreEntry]:
        """The scores against the uncached samples of the same seeds, by metric."""
        scores = {name: self.record.scores.get(f"{name}@{self.record.num_samples}") for name in self.paired}
        return {name: score for name, score in scores.items() if score is not None}

    def measured(self) -> Config:
        """Return what was measured, as the file holds it."""
        cost, record, budget = self.record.cost, self.record, self.point.budget
        assert cost is not None
        seconds = self.seconds and {"uncached": self.seconds[0], "cached": self.seconds[1]}
        calibration = self.point.calibration and self.point.calibration.to_json()
        return {
            "method": record.label,
            "reason": self.reason,
            "at": None if budget is None else budget.at,
            "share": cost.share,
            "seconds": seconds,
            "loss": {name: _as_data(score) for name, score in self.losses.items()},
            "fewer_steps": self.rival and self.rival.to_json(),
            "seeds": [list(seeds) for seeds in record.seeds],
            "calibration": calibration,
        }


def tuned_schedule(tuned: Tuned, model: Model) -> Schedule:
    """Return the schedule with its weights, and what it was made for; ValueError where no file can hold these."""
    point, schedule = tuned.point, tuned.point.policy
    assert isinstance(schedule, Schedule)
    meta = {
        **schedule.meta,
        "coordinates": list(map(float, point.trajectory.coordinates)),
        DENOISER: fingerprint(model.denoiser),
        MADE_FOR: made_for(point.described),
        "forwards": model.forwards,
        "tuned": tuned.measured(),
    }
    if isinstance(model, SamplesItself):
        meta["sampling"] = model.settings(point.solver)
    if point.trajectory.restarts:
        meta["restarts"] = list(point.trajectory.restarts)
    made = replace(schedule, meta=meta).with_predictor(point.predictor)
    return made if _shows_coordinates(point.solver) else _without_timesteps(made)


def seconds_of(point: Point, reference: Point, folder: Path) -> tuple[float, float] | None:
    """Return the seconds of an uncached batch and of one with a point's schedule; None where nothing was measured."""
    try:
        latency = Latency.from_json(read_json(folder / "latency.json")).points[point.cell_id]
    except (ValueError, KeyError):
        return None
    return median(latency.reference_seconds), median(latency.seconds)


def summary(tuned: Tuned, path: Path, model: Model) -> str:
    """Return what is printed: the method and why, its cost, its loss, and a snippet that runs the file."""
    cost = tuned.record.cost
    assert cost is not None
    budget = tuned.point.budget
    setting = "" if budget is None or budget.setting is None else f" ({budget.knob}={budget.setting:g})"
    lines = [
        f"{tuned.record.label}{setting}: {tuned.reason}",
        f"MACs        {cost.share:.1%} of the uncached ones, as counted in the run",
    ]
    if tuned.seconds is None:
        lines.append("speed-up    not measured (latency.rounds, latency.device)")
    else:
        uncached, cached = tuned.seconds
        lines.append(
            f"speed-up    {uncached / cached:.2f}x, measured ({uncached:.3g} s to {cached:.3g} s a batch); "
            f"{1 / cost.share:.2f}x by MACs"
        )
    for name, score in tuned.losses.items():
        worst = (score.quantiles or {}).get(WORST[score.higher_is_better])
        tail = (
            ""
            if worst is None
            else f", worst 5 % {'below' if score.higher_is_better else 'above'} {worst:.4g}"
        )
        interval = "" if score.se is None else f" [{score.low:.4g}, {score.high:.4g}]"
        lines.append(f"{name:11} {score.value:.4g}{interval} to the uncached samples, N = {score.n}{tail}")
    if tuned.rival is not None:
        lines.append(f"fewer steps {tuned.rival}")
    return "\n".join([*lines, "", snippet(tuned.point, path, model)])


def file_bytes(schedule: Schedule) -> bytes:
    """Return the content of a schedule's file."""
    return (json.dumps(schedule.to_json()) + "\n").encode()


def _shows_coordinates(solver: Solver) -> bool:
    return not isinstance(solver, ShowsCoordinates) or solver.shows_coordinates


def _without_timesteps(schedule: Schedule) -> Schedule:
    """The schedule without the timesteps that it was planned for, which plain diffusers would refuse its own run by.

    Its weights are by evaluation, and what it was made for still says which runs it fits.
    """
    meta = {key: value for key, value in schedule.meta.items() if key != "coordinates"}
    weights = schedule.weights
    if isinstance(weights, WeightedSum):
        weights = replace(weights, timesteps=None)
    return replace(schedule, meta=meta, weights=weights)


def _as_data(score: ScoreEntry) -> Mapping[str, Any]:
    names = ("value", "se", "low", "high", "n", "quantiles")
    return {name: value for name, value in asdict(score).items() if name in names}
