"""The latency stage of an experiment: all points interleaved, under a lock, measured whole."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from smoothbench.caching import Schedule
from smoothbench.caching.compiled import Compiled
from smoothbench.costs.interleave import interleaved, median_mad, peak_resident_bytes
from smoothbench.planning.point import Point
from smoothbench.protocols import BLOCK, Config, Model
from smoothbench.sampling.devices import wait_for
from smoothbench.sampling.loop import latents
from smoothbench.sampling.point_batches import bare_batch, cached_batch
from smoothbench.storage.files import read_json, write_json
from smoothbench.storage.latency_file import Latency, PointLatency
from smoothbench.storage.provenance import device_name, provenance
from smoothbench.storage.record import SCHEMA
from smoothbench.storage.results_folder import Store

log = logging.getLogger(__name__)


def measure_latency(
    points: Sequence[Point],
    model: Model,
    asked: Config,
    store: Store,
    force: bool,
    file: str = "latency.json",
    graphs: Compiled | None = None,
) -> None:
    """Write `latency.json`, unless it has all of these points by these settings on this device.

    With `graphs` every point runs compiled, another `file` is for conditions beside the usual ones.
    Where one is missing all are measured anew, the first being the reference; other points stay as
    they were, each with the reference's seconds in its own rounds.
    """
    with store.lock("latency"):
        head = Latency(
            schema=SCHEMA,
            kind=model.device.type,
            device=device_name(model.device),
            threads=torch.get_num_threads(),
            **{key: asked[key] for key in ("rounds", "warmup", "batch_size")},
            points={},
        )
        if file != "latency.json":
            mode = "compiled" if graphs else "eager"
            head = replace(head, dtype=model.identity["dtype"], mode=mode)
        old = _read(store.folder / file)
        kept = old.points if old is not None and _conditions(old) == _conditions(head) else {}
        if not force and all(point.cell_id in kept for point in points):
            log.info("%s: measured before", file.removesuffix(".json"))
            return
        measured = _measure(points, model, asked, graphs)
        new = {point.cell_id: replace(measured[point.sample_id], name=point.spec.name) for point in points}
        content = replace(head, points={**kept, **new}, provenance=provenance(model.device))
        write_json(store.folder / file, content.to_json())


def _read(path: Path) -> Latency | None:
    """What was measured before; None where there is nothing, or nothing that is whole."""
    try:
        return Latency.from_json(read_json(path))
    except (ValueError, KeyError):
        return None


def _conditions(latency: Latency) -> Latency:
    """The settings and the device of a measurement alone."""
    return replace(latency, points={}, provenance=None, others={})


def _measure(
    points: Sequence[Point], model: Model, asked: Config, graphs: Compiled | None
) -> dict[str, PointLatency]:
    """Measure each set of samples: seconds of a whole trajectory and of decoding, and memory."""
    seeds = range(BLOCK - asked["batch_size"], BLOCK)
    distinct: dict[str, Point] = {}
    for point in points:  # of those with the same samples the first: the reference is no cache, not its twin
        distinct.setdefault(point.sample_id, point)
    total = len(distinct) * (asked["rounds"] + asked["warmup"])
    bar = tqdm(total=total, desc="latency", unit="run", leave=False, disable=None)
    runs = {
        sample_id: _ticking(_trajectory(point, model, seeds, graphs), bar)
        for sample_id, point in distinct.items()
    }
    wait = wait_for(model.device)
    seconds = interleaved(runs, asked["rounds"], asked["warmup"], wait)
    bar.close()
    latent = torch.zeros(len(seeds), *model.sample_shape, device=model.device)
    decode = interleaved({"decode": lambda: model.decode(latent)}, asked["rounds"], asked["warmup"], wait)
    found = {}
    for sample_id, values in seconds.items():
        median, mad = median_mad(values)
        peak, held = _memory(distinct[sample_id], model, seeds, graphs)
        found[sample_id] = PointLatency(
            seconds=tuple(values),
            reference_seconds=tuple(seconds[points[0].sample_id]),  # in the same rounds
            median=median,
            mad=mad,
            decode_median=median_mad(decode["decode"])[0],
            peak_bytes=peak,
            cache_bytes=held,
        )
    return found


def _trajectory(
    point: Point, model: Model, seeds: Sequence[int], graphs: Compiled | None
) -> Callable[[], int]:
    """A whole run, which tells the bytes of kept outputs; the uncached one on the untouched model."""
    if graphs is not None:
        return lambda: _compiled_batch(point, model, seeds, graphs)
    if point.uncached:
        return lambda: _bare_batch(point, model, seeds)
    return lambda: cached_batch(point, model, seeds, _nothing)[1].cache_bytes


def _bare_batch(point: Point, model: Model, seeds: Sequence[int]) -> int:
    bare_batch(point, model, seeds)
    return 0


def _compiled_batch(point: Point, model: Model, seeds: Sequence[int], graphs: Compiled) -> int:
    assert isinstance(point.policy, Schedule)
    with graphs.following(point.policy, model.forwards) as clock:
        latents(model, point.solver, seeds, clock.announce)
    return graphs.cache_bytes


def _ticking(run: Callable[[], object], bar: Any) -> Callable[[], object]:
    def ticking() -> None:
        run()
        bar.update()

    return ticking


def _memory(
    point: Point, model: Model, seeds: Sequence[int], graphs: Compiled | None
) -> tuple[int | None, int]:
    """Peak memory of a run (the whole process on a CPU), and the bytes that the cache held."""
    if model.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(model.device)
    with peak_resident_bytes() as resident:
        held = _trajectory(point, model, seeds, graphs)()
    on_device = torch.cuda.max_memory_allocated(model.device) if model.device.type == "cuda" else None
    return on_device or resident.bytes, held


def _nothing() -> None: ...
