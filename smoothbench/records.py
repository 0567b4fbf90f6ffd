"""What is written of a point: its record, and the influence of its samples."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from metrics.inference import Estimate, paired_difference
from metrics.score import Score
from smoothbench.caching import Schedule
from smoothbench.caching.cost import Macs
from smoothbench.errors import MetricsFailed, UsageError, one_line
from smoothbench.measure import Scorer
from smoothbench.numerics import matmul_precision, tf32_cudnn, tf32_matmul
from smoothbench.point_code import recorded
from smoothbench.points import Point, rows
from smoothbench.samples import PREVIEWS
from smoothbench.storage.record import SCHEMA, Record
from smoothbench.storage.record_cost import ComponentCost, Cost, PaperCost
from smoothbench.storage.record_parts import (
    ModelIdentity,
    Numerics,
    PartCode,
    PointDescription,
    RecordedSchedule,
    SolverSteps,
    Status,
)
from smoothbench.storage.score_entry import Delta, MetricName, ScoreEntry
from smoothbench.store import Store, write_arrays
from smoothbench.types import Config, Model, Settings

TERA = 1e12


def new_record(settings: Settings, model: Model, point: Point, reference: Point) -> Record:
    """Build the record of a point with all that is known before its first sample; quality is still to come."""
    spec, schedule = point.spec, point.policy if isinstance(point.policy, Schedule) else None
    known = cost(point, reference) if schedule is not None else None
    stage = None if settings.draws_samples else f"stage={settings.stage}"
    return Record(
        schema=SCHEMA,
        experiment=settings.experiment,
        name=spec.name,
        order=spec.order,
        label=spec.label,
        family=spec.family,
        point_id=point.point_id,
        cell_id=point.cell_id,
        sample_id=point.sample_id,
        same_as=point.same_as,
        parts=(),
        reference=point is reference,
        reference_id=reference.sample_id,
        num_samples=len(spec.seeds),
        per_block=spec.per_block,
        seeds=((spec.seeds.start, spec.seeds.stop),),
        status=Status("skipped", "done" if known else "skipped"),
        reason=f"{stage}: {point.missing_weights}" if point.missing_weights else stage,
        degenerate=bool(schedule and not schedule.skipped_share and not point.uncached),
        model=ModelIdentity.from_json(dict(model.identity), "model"),
        numerics=_numerics(model),
        solver=SolverSteps(type(point.solver).__name__.lower(), point.trajectory.evals),
        predictor=spec.predictor,
        calibration=point.calibration,
        planned=_planned(point, schedule),
        reported=spec.reported,
        schedule=_schedule(schedule),
        captions=_captions(model, spec.seeds[:PREVIEWS]),
        cost=known and replace(known, paper=paper_cost(point, model, settings.paper)),
        scores={},
        described=PointDescription.from_json(recorded(point.described), "described"),
        code={part: PartCode.from_json(each, f"code.{part}") for part, each in point.code.items()},
        batch_size=settings.batch_size if point.dynamic else None,  # no other point's samples know of it
        config={
            "model": settings.model,
            "cache": spec.cache,
            "solver": spec.solver,
            "metrics": settings.metrics,
        },
        provenance={},
    )


def is_of(record: Record, point: Point, reference: Point) -> bool:
    """Whether a record has the ids of a point and of its pair."""
    found = (record.reference_id, record.sample_id, record.cell_id, record.seeds)
    seeds = ((point.spec.seeds.start, point.spec.seeds.stop),)
    return found == (reference.sample_id, point.sample_id, point.cell_id, seeds)


def resumed(record: Record, old: Record) -> Record:
    """Take over what an earlier record of the same point knows; the paper's side is that of now."""
    paper = record.cost.paper if record.cost else None
    known = replace(old.cost, paper=paper) if old.cost else record.cost
    return replace(record, scores=old.scores, status=old.status, reason=old.reason, cost=known)


def with_cost(
    record: Record, point: Point, reference: Point, calls: Mapping[str, float], halved: int
) -> Record:
    """Add what a point's samples have cost: the evaluations of each site, and batches that were halved for memory."""
    paper = record.cost.paper if record.cost else None
    spent = replace(cost(point, reference, calls), batches_halved=halved, paper=paper)
    if not point.dynamic:
        return replace(record, cost=spent)
    idle = all(count == point.trajectory.evals for count in calls.values())
    return replace(record, cost=spent, degenerate=idle)


def with_error(record: Record, error: Exception) -> Record:
    """Add why a point failed; its scores stay known where only some metrics could not be computed."""
    status = Status("failed", "done" if record.cost else "failed")
    scores = record.scores if isinstance(error, MetricsFailed) else {}
    return replace(record, status=status, reason=one_line(error), scores=scores)


def _planned(point: Point, schedule: Schedule | None) -> str | None:
    """What a schedule rests on; of a file's word only what it can know."""
    if point.calibration:
        return "calibrated"
    said = schedule.meta.get("planned") if schedule else None
    return said if said in ("published mask", "published count") else None


def _numerics(model: Model) -> Numerics:
    """What decides the rounding, beside the device's own kernels."""
    return Numerics(model.identity["dtype"], matmul_precision(), tf32_matmul(), tf32_cudnn())


def _captions(model: Model, seeds: Sequence[int]) -> dict[str, str] | None:
    """What the previews were asked to be, by seed; None for a model without prompts."""
    prompts = getattr(model, "prompts", None)
    if prompts is None or not prompts.texts:
        return None
    return dict(zip(map(str, seeds), prompts.captions(seeds), strict=True))


def _schedule(schedule: Schedule | None) -> RecordedSchedule | None:
    if schedule is None:
        return None
    return RecordedSchedule(
        tuple(schedule.sites), tuple(schedule.kinds), tuple(rows(schedule)), dict(schedule.meta)
    )


def cost(point: Point, reference: Point, executed: Mapping[str, float] | None = None) -> Cost:
    """MACs per sample over a trajectory, as planned or by the executed evaluations of each site."""
    trajectory, calls = point.trajectory, executed or point.planned_calls
    by_kind: Counter[str] = Counter()
    linear = trajectory.evals * trajectory.rest_macs_linear
    for site in trajectory.sites:
        by_kind[site.kind] += round(site.macs * calls[site.name])
        linear += round(site.macs_linear * calls[site.name])
    rest = trajectory.evals * trajectory.rest_macs
    macs = by_kind.total() + rest
    share = macs / reference.planned_macs
    return Cost(macs, linear, share, trajectory.evals, {**by_kind, "rest": rest})


def paper_cost(point: Point, model: Model, paper: Config | None) -> PaperCost | None:
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
    parts: dict[str, ComponentCost] | None = None
    if paper["scope"] == "pipeline":
        beside = pipeline_of(model)
        denoiser = Macs(round(linear), point.planned_macs - round(linear))
        parts = {"denoiser": _tera(denoiser, batch)} | {name: _tera(each, 1) for name, each in beside.items()}
        explained = (denoiser.linear * batch + sum(each.linear for each in beside.values())) / TERA
    unexplained = trajectory.evals * paper["remainder_per_evaluation"]
    return PaperCost(
        scope=paper["scope"],
        rows=paper["rows"],
        remainder_per_evaluation=paper["remainder_per_evaluation"],
        tmacs=explained + unexplained,
        tmacs_explained=explained,
        note=paper.get("note"),
        parts=parts,
    )


def pipeline_of(model: Model) -> dict[str, Macs]:
    """What runs beside a model's denoiser, per sample; UsageError where it does not say."""
    found: Mapping[str, Macs] | None = getattr(model, "pipeline", None)
    if found is None:
        raise UsageError(f"paper.scope=pipeline: {model.name} does not count its other parts: use denoiser")
    return dict(found)


def _tera(macs: Macs, batch: float) -> ComponentCost:
    return ComponentCost(macs.linear * batch / TERA, macs.total * batch / TERA)


def as_reported(record: Record, point: Point, settings: Settings, model: Model) -> bool:
    """Whether a record says of the papers what is asked for now: their row, and their count of MACs."""
    known = isinstance(point.policy, Schedule)
    paper = paper_cost(point, model, settings.paper) if known else None
    counted = record.cost.paper if record.cost else None
    return record.reported == point.spec.reported and counted == paper


def entry(scorer: Scorer, name: str, score: Score, reference: Score | None) -> ScoreEntry:
    """A score as it stands in a record; the difference to the reference is a paired one."""
    gauge, estimate = scorer.gauges[name], score.estimate
    return ScoreEntry(
        value=estimate.value,
        se=estimate.se,
        low=estimate.low,
        high=estimate.high,
        n=len(score.influence),
        higher_is_better=gauge.metric.higher_is_better,
        flag=score.flag,
        metric=MetricName.from_json(dict(gauge.called)),
        config_hash=gauge.config_hash,
        quantiles=dict(score.quantiles) if score.quantiles else None,
        blocks=None,
        delta=None if reference is None else _difference(paired_difference(score, reference)),
    )


def _difference(estimate: Estimate) -> Delta:
    return Delta(estimate.value, estimate.se, estimate.low, estimate.high, estimate.p_value)


def save_scores(store: Store, record: Record, scores: Mapping[str, Score]) -> None:
    """Keep the influence of each sample on each score of a record, by which points are compared in pairs.

    Those of scores that the record has from before stay.
    """
    name, point_id = record.name, record.point_id
    old = {k: v for k, v in (store.scores(name, point_id) or {}).items() if k in record.scores}
    new = {score: value.influence.astype(np.float32) for score, value in scores.items()}
    seeds = np.concatenate([np.arange(start, stop) for start, stop in record.seeds])
    write_arrays(store.scores_path(name, point_id), old | new | {"seeds": seeds})
