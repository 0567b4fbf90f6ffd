"""What is written of a point: its record, the influence of its samples, its line in the cost table."""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metrics.inference import Estimate, paired_difference
from metrics.score import Score
from smoothbench.caching import Schedule
from smoothbench.caching.cost import Macs
from smoothbench.errors import UsageError
from smoothbench.facts import namesakes
from smoothbench.measure import Scorer
from smoothbench.numerics import matmul_precision, tf32_cudnn, tf32_matmul
from smoothbench.point_code import recorded
from smoothbench.points import Point, rows
from smoothbench.samples import PREVIEWS
from smoothbench.store import Store, write_arrays, write_atomic
from smoothbench.types import Config, Model, Settings

PAPER_COLUMNS = ("tmacs_reported", "tmacs_paper_convention", "paper_scope", "paper_rows")
TERA = 1e12
COST_COLUMNS = ("name", "steps", *PAPER_COLUMNS, "macs_linear", "macs")


def new_record(settings: Settings, model: Model, point: Point, reference: Point) -> dict[str, Any]:
    """A record with all that is known before the first sample; quality is still to come."""
    spec, schedule = point.spec, point.policy if isinstance(point.policy, Schedule) else None
    known = cost(point, reference) if schedule is not None else None
    stage = None if settings.draws_samples else f"stage={settings.stage}"
    return {
        "experiment": settings.experiment,
        "name": spec.name,
        "order": spec.order,
        "label": spec.label,
        "family": spec.family,
        "point_id": point.point_id,
        "cell_id": point.cell_id,
        "sample_id": point.sample_id,
        "same_as": point.same_as,
        "parts": [],
        "reference": point is reference,
        "reference_id": reference.sample_id,
        "num_samples": len(spec.seeds),
        "per_block": spec.per_block,
        "seeds": [[spec.seeds.start, spec.seeds.stop]],
        "status": {"quality": "skipped", "cost": "done" if known else "skipped"},
        "reason": f"{stage}: {point.missing_weights}" if point.missing_weights else stage,
        "degenerate": bool(schedule and not schedule.skipped_share and not point.uncached),
        "model": dict(model.identity),
        "numerics": _numerics(model),
        "solver": {"name": type(point.solver).__name__.lower(), "steps": point.trajectory.evals},
        "predictor": spec.predictor,
        "calibration": point.calibration,
        "planned": _planned(point, schedule),
        "reported": spec.reported,
        "schedule": _schedule(schedule),
        "captions": _captions(model, spec.seeds[:PREVIEWS]),
        "cost": known and known | {"paper": paper_cost(point, model, settings.paper)},
        "scores": {},
        "described": recorded(point.described),
        "code": point.code,
        "batch_size": settings.batch_size if point.dynamic else None,  # no other point's samples know of it
        "config": {"model": settings.model, "cache": spec.cache, "solver": spec.solver}
        | {"metrics": settings.metrics},
    }


def _planned(point: Point, schedule: Schedule | None) -> str | None:
    """What a schedule rests on; of a file's word only what it can know."""
    if point.calibration:
        return "calibrated"
    said = schedule.meta.get("planned") if schedule else None
    return said if said in ("published mask", "published count") else None


def _numerics(model: Model) -> dict[str, Any]:
    """What decides the rounding, beside the device's own kernels."""
    return {
        "dtype": model.identity["dtype"],
        "matmul": matmul_precision(),
        "tf32_matmul": tf32_matmul(),
        "tf32_cudnn": tf32_cudnn(),
    }


def _captions(model: Model, seeds: Sequence[int]) -> dict[str, str] | None:
    """What the previews were asked to be, by seed; None for a model without prompts."""
    prompts = getattr(model, "prompts", None)
    if prompts is None or not prompts.texts:
        return None
    return dict(zip(map(str, seeds), prompts.captions(seeds), strict=True))


def _schedule(schedule: Schedule | None) -> dict[str, Any] | None:
    if schedule is None:
        return None
    return {
        "sites": list(schedule.sites),
        "kinds": list(schedule.kinds),
        "rows": rows(schedule),
        "meta": dict(schedule.meta),
    }


def cost(point: Point, reference: Point, executed: Mapping[str, float] | None = None) -> dict[str, Any]:
    """MACs per sample over a trajectory, as planned or by the executed evaluations of each site."""
    trajectory, calls = point.trajectory, executed or point.planned_calls
    by_kind: Counter[str] = Counter()
    linear = trajectory.evals * trajectory.rest_macs_linear
    for site in trajectory.sites:
        by_kind[site.kind] += round(site.macs * calls[site.name])
        linear += round(site.macs_linear * calls[site.name])
    rest = trajectory.evals * trajectory.rest_macs
    macs = by_kind.total() + rest
    return {
        "macs": macs,
        "macs_linear": linear,
        "by_kind": {**by_kind, "rest": rest},
        "share": macs / reference.planned_macs,
        "evals": trajectory.evals,
    }


def paper_cost(point: Point, model: Model, paper: Config | None) -> Config | None:
    """TMACs of a trajectory as a paper counts them, with and without what its count has unexplained.

    Scope `branches`: the linear layers of attention and MLP alone; `denoiser`: all its linear layers and
    convolutions; `pipeline`: with those of the `parts` beside it, for one sample, as rows are the denoiser's alone.
    None of them counts the attention products.
    """
    if paper is None:
        return None
    trajectory, calls = point.trajectory, point.planned_calls
    linear = sum(site.macs_linear * calls[site.name] for site in trajectory.sites)
    if paper["scope"] != "branches":
        linear += trajectory.evals * trajectory.rest_macs_linear
    batch = paper["rows"] / model.guidance_rows
    explained = linear * batch / TERA
    parts: dict[str, dict[str, float]] = {}
    if paper["scope"] == "pipeline":
        beside = pipeline_of(model)
        denoiser = Macs(round(linear), point.planned_macs - round(linear))
        parts = {"denoiser": _tera(denoiser, batch)} | {name: _tera(each, 1) for name, each in beside.items()}
        explained = (denoiser.linear * batch + sum(each.linear for each in beside.values())) / TERA
    unexplained = trajectory.evals * paper["remainder_per_evaluation"]
    counted = {**paper, "tmacs": explained + unexplained, "tmacs_explained": explained}
    return counted | ({"parts": parts} if parts else {})


def pipeline_of(model: Model) -> dict[str, Macs]:
    """What runs beside a model's denoiser, per sample; UsageError where it does not say."""
    found: Mapping[str, Macs] | None = getattr(model, "pipeline", None)
    if found is None:
        raise UsageError(f"paper.scope=pipeline: {model.name} does not count its other parts: use denoiser")
    return dict(found)


def _tera(macs: Macs, batch: float) -> dict[str, float]:
    return {"tmacs": macs.linear * batch / TERA, "tmacs_with_attention": macs.total * batch / TERA}


def as_reported(record: Mapping[str, Any], point: Point, settings: Settings, model: Model) -> bool:
    """Whether a record says of the papers what is asked for now: their row, and their count of MACs."""
    known = isinstance(point.policy, Schedule)
    paper = paper_cost(point, model, settings.paper) if known else None
    return record.get("reported") == point.spec.reported and (record["cost"] or {}).get("paper") == paper


def entry(scorer: Scorer, name: str, score: Score, reference: Score | None) -> dict[str, Any]:
    """A score as it stands in a record; the difference to the reference is a paired one."""
    gauge = scorer.gauges[name]
    return {
        **_estimate(score.estimate),
        "n": len(score.influence),
        "higher_is_better": gauge.metric.higher_is_better,
        "flag": score.flag,
        "metric": dict(gauge.called),
        "config_hash": gauge.config_hash,
        "quantiles": dict(score.quantiles) if score.quantiles else None,
        "blocks": None,
        "delta": None if reference is None else _difference(paired_difference(score, reference)),
    }


def _estimate(estimate: Estimate) -> dict[str, float]:
    return {"value": estimate.value, "se": estimate.se, "low": estimate.low, "high": estimate.high}


def _difference(estimate: Estimate) -> dict[str, float]:
    return {**_estimate(estimate), "p": estimate.p_value}


def save_scores(store: Store, record: dict[str, Any], scores: dict[str, Score]) -> None:
    """Keep the influence of each sample on each score of a record, by which points are compared in pairs.

    Those of scores that the record has from before stay.
    """
    name, point_id = record["name"], record["point_id"]
    old = {k: v for k, v in (store.scores(name, point_id) or {}).items() if k in record["scores"]}
    new = {score: value.influence.astype(np.float32) for score, value in scores.items()}
    seeds = np.concatenate([np.arange(start, stop) for start, stop in record["seeds"]])
    write_arrays(store.scores_path(name, point_id), old | new | {"seeds": seeds})


def cost_csv(store: Store) -> None:
    """`cost.csv`: MACs of whole trajectories per generated sample, guidance rows included, denoiser only.

    A line for each cell, whatever its seeds; `differs_in` tells those of one name apart. The papers' columns, TMACs
    of `paper_rows` rows, stay empty where no paper reports the point. Where a paper's scope is the pipeline, its
    parts follow, in its convention and with the attention products.
    """
    cells = {record["cell_id"]: record for record in store.records() if record["cost"]}
    weighted = {record["name"] for record in cells.values() if _weighted(record)}
    # what stood in for a calibration while there were no weights is not told twice
    cells = {key: each for key, each in cells.items() if _weighted(each) or each["name"] not in weighted}
    buffer, twins = io.StringIO(), namesakes(cells.values())
    extra = {key: _part_columns(each) | twins.get(key, {}) for key, each in cells.items()}
    columns = [*COST_COLUMNS, *dict.fromkeys(column for row in extra.values() for column in row)]
    table = csv.DictWriter(buffer, columns, lineterminator="\n")
    table.writeheader()
    for record in sorted(cells.values(), key=lambda r: (r["order"], r["name"], r["cell_id"])):
        macs = {key: record["cost"][key] for key in ("macs_linear", "macs")}
        about = {"name": record["name"], "steps": record["solver"]["steps"]}
        table.writerow(about | _paper_columns(record) | macs | extra[record["cell_id"]])
    write_atomic(store.folder / "cost.csv", buffer.getvalue().encode())


def _weighted(record: Mapping[str, Any]) -> bool:
    return bool(record["model"].get("weights_sha256") != "random")


def _paper_columns(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a paper prints of a point, and the same by our count."""
    columns: dict[str, Any] = {}
    if reported := record.get("reported"):
        columns["tmacs_reported"] = reported["values"].get("tmacs", {}).get("value")
    if paper := record["cost"].get("paper"):
        computed = {"tmacs_paper_convention": round(paper["tmacs"], 6), "paper_scope": paper["scope"]}
        columns |= computed | {"paper_rows": paper["rows"]}
    return columns


def _part_columns(record: Mapping[str, Any]) -> dict[str, float]:
    parts = (record["cost"].get("paper") or {}).get("parts") or {}
    return {f"{key}_{part}": round(value, 6) for part, each in parts.items() for key, value in each.items()}
