"""MACs of a point as a paper counts them."""

from collections.abc import Mapping

from smoothbench.caching.mac_counter import Macs
from smoothbench.errors import UsageError
from smoothbench.planning.point import Point
from smoothbench.protocols import Config, Model
from smoothbench.storage.record_cost import ComponentCost, PaperCost

TERA = 1e12


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
