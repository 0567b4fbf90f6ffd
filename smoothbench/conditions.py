"""Latency, also under more conditions than the usual ones: precisions, compiled or not, batch sizes."""

import logging
from collections.abc import Sequence
from itertools import product

from smoothbench.build import build_model
from smoothbench.caching import Schedule
from smoothbench.caching.compiled import Compiled
from smoothbench.caching.predictor import Reuse
from smoothbench.points import Point
from smoothbench.store import Store
from smoothbench.timing import measure_latency
from smoothbench.types import Model, Settings

log = logging.getLogger(__name__)


def measure_conditions(points: Sequence[Point], settings: Settings, model: Model, store: Store) -> None:
    """Write `latency.json`, and `latency/DTYPE-MODE-BATCH.json` for each combination that `latency.also` asks for.

    Points that decide at run time, or predict where others reuse, are left out where it is compiled.
    """
    asked = settings.latency
    measure_latency(points, model, asked, store, settings.force)
    also = asked["also"]
    if not also or asked["device"] not in ("any", model.device.type) or not asked["rounds"]:
        return
    for dtype in also.get("dtype", [model.identity["dtype"]]):
        own = dtype == model.identity["dtype"]
        cast = model if own else build_model({**settings.model, "dtype": dtype}, model.device)
        graphs = Compiled(cast.denoiser)
        for mode, batch in product(
            also.get("mode", ["eager"]), also.get("batch_size", [asked["batch_size"]])
        ):
            compiled = mode == "compiled"
            timed = [point for point in points if not compiled or _static(point)]
            log.info("latency: %s, %s, batch of %d, %d points", dtype, mode, batch, len(timed))
            file = f"latency/{dtype}-{mode}-{batch}.json"
            here = {**asked, "batch_size": batch}
            measure_latency(timed, cast, here, store, settings.force, file, graphs if compiled else None)


def _static(point: Point) -> bool:
    return isinstance(point.policy, Schedule) and (point.uncached or isinstance(point.predictor, Reuse))
