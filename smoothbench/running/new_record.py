"""The record of a point, with all that is known before its first sample."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from smoothbench.caching import Schedule
from smoothbench.config.spec import Settings, Spec
from smoothbench.costs.point_cost import cost, paper_cost
from smoothbench.errors import MetricsFailed, named
from smoothbench.numerics import matmul_precision, tf32_cudnn, tf32_matmul
from smoothbench.planning.point import Point
from smoothbench.planning.point_ids import recorded
from smoothbench.protocols import Config, Model, Prompted
from smoothbench.storage.record import SCHEMA, Record
from smoothbench.storage.record_parts import (
    ModelIdentity,
    Numerics,
    PartCode,
    PointDescription,
    RecordedSchedule,
    SolverSteps,
    Status,
)
from smoothbench.storage.sample_files import PREVIEWS


def new_record(
    settings: Settings, model: Model, point: Point, reference: Point, old: Record | None = None
) -> Record:
    """Build the record of a point with all that is known before its first sample; quality is still to come.

    Args: old, the record that it will replace, whose place among points of one name it keeps.
    """
    spec, schedule = point.spec, point.policy if isinstance(point.policy, Schedule) else None
    planned_cost = cost(point, reference) if schedule is not None else None
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
        status=Status("skipped", "done" if planned_cost else "skipped"),
        reason=_reason(point, stage),
        degenerate=bool(schedule and not schedule.skipped_share and not point.uncached),
        model=ModelIdentity.from_json(dict(model.identity), "model"),
        numerics=_numerics(model),
        solver=SolverSteps(type(point.solver).__name__.lower(), point.trajectory.evals),
        predictor=spec.predictor,
        calibration=point.calibration,
        budget=point.budget and replace(point.budget, realised=point.budget.expected if schedule else None),
        planned=_planned(point, schedule),
        reported=spec.reported,
        schedule=RecordedSchedule.of(schedule) if schedule is not None else None,
        captions=_captions(model, spec.seeds[:PREVIEWS]),
        cost=planned_cost and replace(planned_cost, paper=paper_cost(point, model, settings.paper)),
        scores={},
        described=PointDescription.from_json(recorded(point.described), "described"),
        code={part: PartCode.from_json(each, f"code.{part}") for part, each in point.code.items()},
        batch_size=settings.batch_size if point.dynamic else None,  # it decides no samples of a static method
        config=_config(settings, spec),
        provenance={},
        formerly=old.formerly if old else None,
    )


def _config(settings: Settings, spec: Spec) -> Config:
    """The nodes that a point was built of, and the report's sections where they are chosen."""
    return {
        "model": settings.model,
        "cache": spec.policy,  # as in the records of every earlier version
        "solver": spec.solver,
        "metrics": settings.metrics,
        **({"report": list(settings.report)} if settings.report else {}),
    }


def _reason(point: Point, stage: str | None) -> str | None:
    """Why a point that is not sampled yet is skipped, as far as that is known."""
    if point.unsupported:
        return point.unsupported
    return f"{stage}: {point.missing_weights}" if point.missing_weights else stage


def is_of(record: Record, point: Point, reference: Point) -> bool:
    """Tell whether a record has the ids of a point and of its pair."""
    ids = (record.reference_id, record.sample_id, record.cell_id, record.seeds)
    seeds = ((point.spec.seeds.start, point.spec.seeds.stop),)
    return ids == (reference.sample_id, point.sample_id, point.cell_id, seeds)


def resumed(record: Record, old: Record) -> Record:
    """Take over scores, status and cost of an earlier record of the same point, but not what a paper says of it."""
    paper = record.cost.paper if record.cost else None
    spent = replace(old.cost, paper=paper) if old.cost else record.cost
    return replace(
        record, scores=old.scores, status=old.status, reason=old.reason, cost=spent, budget=old.budget
    )


def with_cost(
    record: Record, point: Point, reference: Point, calls: Mapping[str, float], halved: int
) -> Record:
    """Add what the samples of a point have cost.

    Args: calls, at how many evaluations each site was computed, by name; halved, how many batches were cut in two
    because they did not fit into memory.
    """
    paper = record.cost.paper if record.cost else None
    spent = replace(cost(point, reference, calls), batches_halved=halved, paper=paper)
    if not point.dynamic:
        return replace(record, cost=spent)
    if record.budget:
        record = replace(record, budget=replace(record.budget, realised=spent.macs / point.uncached_macs))
    idle = all(calls[site.name] == point.trajectory.evals for site in point.trajectory.sites)
    return replace(record, cost=spent, degenerate=idle)


def with_error(record: Record, error: Exception) -> Record:
    """Add why a point failed; its scores stay known where only some metrics could not be computed."""
    status = Status("failed", "done" if record.cost else "failed")
    scores = record.scores if isinstance(error, MetricsFailed) else {}
    return replace(record, status=status, reason=named(error), scores=scores)


def _planned(point: Point, schedule: Schedule | None) -> str | None:
    """What a schedule rests on. A file can only say that it holds a published one, not that it was calibrated."""
    if point.calibration:
        return "calibrated"
    basis = schedule.meta.get("planned") if schedule else None
    return basis if basis in ("published mask", "published count") else None


def _numerics(model: Model) -> Numerics:
    """What decides the rounding, beside the device's own kernels."""
    return Numerics(model.identity["dtype"], matmul_precision(), tf32_matmul(), tf32_cudnn())


def _captions(model: Model, seeds: Sequence[int]) -> dict[str, str] | None:
    """The prompts of the previews, by seed; None for a model without prompts."""
    if not isinstance(model, Prompted) or not model.prompts.texts:
        return None
    return dict(zip(map(str, seeds), model.prompts.captions(seeds), strict=True))


def as_reported(record: Record, point: Point, settings: Settings, model: Model) -> bool:
    """Tell whether a record has the paper's row and the paper's count of MACs that the settings name now."""
    planned = isinstance(point.policy, Schedule)
    paper = paper_cost(point, model, settings.paper) if planned else None
    counted = record.cost.paper if record.cost else None
    return record.reported == point.spec.reported and counted == paper
