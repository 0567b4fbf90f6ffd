"""What a point costs in MACs, as its record holds it: by kind of site, and as the paper counts them."""

from collections.abc import Mapping

from smoothbench.caching import Macs
from smoothbench.caching.sites import BRANCH
from smoothbench.errors import UsageError
from smoothbench.paper_convention import Convention
from smoothbench.planning.point import Point
from smoothbench.protocols import CountsPipeline, Model
from smoothbench.storage.record_cost import Cost, PaperCost


def cost(point: Point, reference: Point, executed: Mapping[str, float] | None = None) -> Cost:
    """Return the MACs of a trajectory for one sample, and their share of the uncached reference's.

    Args: executed, at how many evaluations each site was computed, by name; None: as the schedule plans.
    """
    spent = point.trajectory.cost(executed or point.planned_calls)
    return Cost(
        macs=spent.total,
        macs_linear=spent.linear,
        share=spent.total / reference.planned_macs,
        evals=point.trajectory.evals,
        by_kind={kind: macs.total for kind, macs in spent.by_kind.items()} | {"rest": spent.rest.total},
    )


def paper_cost(point: Point, model: Model, convention: Convention | None) -> PaperCost | None:
    """Return the TMACs of a planned trajectory as a paper counts them; None without a convention.

    No paper has rows for sites of another level than branches: there it is None, too.

    Raises UsageError for scope `pipeline` and a model that does not say what runs beside its denoiser.
    """
    if convention is None or any(site.level != BRANCH for site in point.trajectory.sites):
        return None
    components = components_of(model) if convention.scope == "pipeline" else None
    return convention.count(point.trajectory, point.planned_calls, model.guidance_rows, components)


def components_of(model: Model) -> dict[str, Macs]:
    """Return the MACs of what runs beside the denoiser for one sample, by name; UsageError if the model has none."""
    if not isinstance(model, CountsPipeline):
        raise UsageError(f"paper.scope=pipeline: {model.name} does not count its other parts: use denoiser")
    return dict(model.pipeline)
