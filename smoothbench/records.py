"""What is written of a point: its record, the influence of its samples, its line in the cost table."""

import csv
import io
from typing import Any

import numpy as np

from metrics.score import Score
from smoothbench.caching import Schedule
from smoothbench.points import Point, rows
from smoothbench.samples import Samples
from smoothbench.store import Store, read_json, write_atomic
from smoothbench.types import Model, Settings

PAPER_COLUMNS = ("tmacs_reported", "tmacs_paper_convention", "paper_scope", "paper_rows")
COST_COLUMNS = ("name", "steps", *PAPER_COLUMNS, "macs_linear", "macs")


def new_record(settings: Settings, model: Model, point: Point, reference: Point) -> dict[str, Any]:
    """A record with all that is known before the first sample; quality is still to come."""
    spec, schedule = point.spec, point.policy if isinstance(point.policy, Schedule) else None
    return {
        "experiment": settings.experiment,
        "name": spec.name,
        "order": spec.order,
        "label": spec.label,
        "family": spec.family,
        "point_id": point.point_id,
        "sample_id": point.sample_id,
        "same_as": point.same_as,
        "reference": point is reference,
        "reference_id": reference.sample_id,
        "num_samples": spec.num_samples,
        "seed": spec.seed,
        "seeds": [spec.seeds.start, spec.seeds.stop],
        "status": {"quality": "skipped", "cost": "done"},
        "reason": f"stage={settings.stage}" if settings.stage == "cost" else None,
        "degenerate": bool(schedule and not schedule.skipped_share and not point.uncached),
        "model": dict(model.identity),
        "solver": {
            "name": spec.solver["_target_"].rpartition(".")[2].lower(),
            "steps": point.trajectory.evals,
        },
        "predictor": spec.predictor,
        "schedule": _schedule(schedule),
        "cost": _cost(point, reference) if point.failure is None else None,
        "scores": {},
        "config": {
            "model": settings.model,
            "cache": spec.cache,
            "solver": spec.solver,
            "metrics": settings.metrics,
        },
    }


def _schedule(schedule: Schedule | None) -> dict[str, Any] | None:
    if schedule is None:
        return None
    return {
        "sites": list(schedule.sites),
        "kinds": list(schedule.kinds),
        "rows": rows(schedule),
        "meta": dict(schedule.meta),
    }


def _cost(point: Point, reference: Point) -> dict[str, Any]:
    return {
        "macs": point.planned_macs,
        "macs_linear": linear_macs(point),
        "share": point.planned_macs / reference.planned_macs,
        "evals": point.trajectory.evals,
    }


def linear_macs(point: Point) -> int:
    """Cost per sample without the attention products."""
    full = {site.name: point.trajectory.evals for site in point.trajectory.sites}
    calls = point.policy.calls() if isinstance(point.policy, Schedule) else full
    return point.trajectory.macs(calls, linear=True)


def influences(samples: Samples, scores: dict[str, Score]) -> dict[str, Any]:
    """The influence of each sample on each score, by which points are compared in pairs."""
    seeds = [seed for batch in samples.batches() for seed in batch]
    return {"seeds": np.array(seeds), **{name: score.influence for name, score in scores.items()}}


def save_scores(store: Store, point: Point, arrays: dict[str, Any]) -> None:
    """Write the influence values beside the record."""
    buffer = io.BytesIO()
    np.savez(buffer, **{name: arrays[name] for name in sorted(arrays)})
    write_atomic(store.scores_path(point.spec.name, point.point_id), buffer.getvalue())


def cost_csv(store: Store) -> None:
    """`cost.csv`: MACs of whole trajectories per generated sample, guidance rows included, denoiser only.

    The columns of the papers stay empty where no paper reports the point.
    """
    buffer = io.StringIO()
    table = csv.DictWriter(buffer, COST_COLUMNS, lineterminator="\n")
    table.writeheader()
    records = [read_json(path) for path in (store.folder / "records").glob("*.json")]
    costed = [r for r in records if isinstance(r, dict) and r.get("cost")]
    for record in sorted(costed, key=lambda r: (r["order"], r["name"], r["point_id"])):
        macs = {key: record["cost"][key] for key in ("macs_linear", "macs")}
        table.writerow({"name": record["name"], "steps": record["solver"]["steps"], **macs})
    write_atomic(store.folder / "cost.csv", buffer.getvalue().encode())
