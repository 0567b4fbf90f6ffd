"""Latency, also under more conditions than the usual ones: precisions, compiled or not, batch sizes."""

import logging
from collections.abc import Sequence
from itertools import product

from smoothbench.caching import Schedule
from smoothbench.caching.compiled import Compiled
from smoothbench.caching.predictor import Reuse
from smoothbench.caching.sites import BRANCH
from smoothbench.config.instantiate import build_model
from smoothbench.config.spec import Settings
from smoothbench.costs.latency import measure_latency
from smoothbench.errors import PointsFailed, UsageError, is_full, one_line
from smoothbench.planning.point import Point
from smoothbench.protocols import Model
from smoothbench.sampling.out_of_memory import out_of_memory
from smoothbench.storage.results_folder import Store

log = logging.getLogger(__name__)


def check_conditions(settings: Settings, model: Model) -> None:
    """Raise UsageError, before anything is measured, for a dtype in `latency.also` that the model cannot have."""
    also = settings.latency["also"]
    if "dtype" in settings.model or not (also and settings.times_latency(model.device.type)):
        return
    dtype = model.identity["dtype"]
    if others := [other for other in also.get("dtype", []) if other != dtype]:
        raise UsageError(
            f"latency.also.dtype={others[0]}: {model.name} computes in {dtype} alone; leave the others out"
        )


def measure_conditions(points: Sequence[Point], settings: Settings, model: Model, store: Store) -> None:
    """Write `latency.json`, and `latency/DTYPE-MODE-BATCH.json` for each combination that `latency.also` asks for.

    Points that decide at run time, predict where others reuse, or reuse other sites than branches, are left out where
    it is compiled.
    Raises PointsFailed at the end where a combination could not be measured; the others are.
    """
    latency_config = settings.latency
    try:
        measure_latency(points, model, latency_config, store, settings.force)
    except Exception as error:
        if not out_of_memory(error):
            raise
        size = latency_config["batch_size"]
        raise PointsFailed(
            f"latency.batch_size={size}: does not fit into memory, take a smaller one"
        ) from error
    if not latency_config["also"]:
        return
    failed = []
    for dtype in latency_config["also"].get("dtype", [model.identity["dtype"]]):
        if dtype == model.identity["dtype"]:
            failed += _measure(points, settings, model, store)
            continue
        model.denoiser.to("cpu")  # its memory is not to be counted as the other's
        cast = build_model({**settings.model, "dtype": dtype}, model.device)
        failed += _measure(points, settings, cast, store)
        del cast
        model.denoiser.to(model.device)
    if failed:
        raise PointsFailed(
            f"latency could not be measured under {len(failed)} conditions: {', '.join(failed)}"
        )


def _measure(points: Sequence[Point], settings: Settings, model: Model, store: Store) -> list[str]:
    """All modes and batch sizes in one precision; the names of those that failed."""
    latency_config, also, failed = settings.latency, settings.latency["also"], []
    modes, batches = also.get("mode", ["eager"]), also.get("batch_size", [latency_config["batch_size"]])
    graphs = Compiled(model.denoiser) if "compiled" in modes else None
    for mode, batch in product(modes, batches):
        name = f"{model.identity['dtype']}-{mode}-{batch}"
        here, used, timed = {**latency_config, "batch_size": batch}, None, points
        if mode == "compiled":
            here |= {"warmup": max(latency_config["warmup"], 1)}  # or compiling would be timed
            used, timed = graphs, [point for point in points if _static(point)]
        log.info("latency: %s, %d points", name, len(timed))
        try:
            measure_latency(timed, model, here, store, settings.force, f"latency/{name}.json", used)
        except Exception as error:  # no compiler, no memory: the other conditions go on
            if is_full(error):
                raise
            log.error("latency: %s failed: %s", name, one_line(error)[:300])
            log.debug("", exc_info=True)
            failed.append(name)
    return failed


def _static(point: Point) -> bool:
    branches = all(site.level == BRANCH for site in point.trajectory.sites)
    reuses = point.uncached or isinstance(point.predictor, Reuse)
    return isinstance(point.policy, Schedule) and branches and reuses
