"""The latency stage of an experiment: all points take turns, under a lock, over whole trajectories."""

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

BARE = "bare"  # the run of the first point on the untouched model, among those by sample_id


def measure_latency(
    points: Sequence[Point],
    model: Model,
    latency_config: Config,
    store: Store,
    force: bool,
    file: str = "latency.json",
    graphs: Compiled | None = None,
) -> None:
    """Measure the latency of all points and write it to `latency.json`.

    Nothing is measured if the file has all of these points already, by these settings on this device. If one is
    missing, all are measured again, the first one being the reference; other points of the file stay as they were,
    every one with the reference's seconds in the same rounds. With `graphs` every point runs compiled; another `file`
    is for settings beside the usual ones.
    """
    with store.lock("latency"):
        head = Latency(
            schema=SCHEMA,
            kind=model.device.type,
            device=device_name(model.device),
            threads=torch.get_num_threads(),
            **{key: latency_config[key] for key in ("rounds", "warmup", "batch_size")},
            points={},
        )
        if file != "latency.json":
            mode = "compiled" if graphs else "eager"
            head = replace(head, dtype=model.identity["dtype"], mode=mode)
        old = _read(store.folder / file)
        known = old.points if old is not None and _conditions(old) == _conditions(head) else {}
        if not force and all(point.cell_id in known for point in points):
            log.info("%s: measured before", file.removesuffix(".json"))
            return
        measured = _measure(points, model, latency_config, graphs)
        new = {point.cell_id: replace(measured[point.sample_id], name=point.spec.name) for point in points}
        content = replace(head, points={**known, **new}, provenance=provenance(model.device))
        write_json(store.folder / file, content.to_json())


def _read(path: Path) -> Latency | None:
    """What was measured before; None where there is no file, or a damaged one."""
    try:
        return Latency.from_json(read_json(path))
    except (ValueError, KeyError):
        return None


def _conditions(latency: Latency) -> Latency:
    """The settings and the device of a measurement alone."""
    return replace(latency, points={}, provenance=None, others={})


def _measure(
    points: Sequence[Point], model: Model, latency_config: Config, graphs: Compiled | None
) -> dict[str, PointLatency]:
    """Measure each set of samples: seconds of a whole trajectory and of decoding, and memory."""
    seeds = range(BLOCK - latency_config["batch_size"], BLOCK)
    distinct: dict[str, Point] = {}
    for point in (
        points
    ):  # the first point of those with the same samples: the reference is the uncached point, not its twin
        distinct.setdefault(point.sample_id, point)
    total = (len(distinct) + (graphs is None)) * (latency_config["rounds"] + latency_config["warmup"])
    bar = tqdm(total=total, desc="latency", unit="run", leave=False, disable=None)
    runs = {
        sample_id: _ticking(_trajectory(point, model, seeds, graphs), bar)
        for sample_id, point in distinct.items()
    }
    if graphs is None:
        runs[BARE] = _ticking(lambda: bare_batch(points[0], model, seeds), bar)
    wait = wait_for(model.device)
    seconds = interleaved(runs, latency_config["rounds"], latency_config["warmup"], wait)
    bar.close()
    latent = torch.zeros(len(seeds), *model.sample_shape, device=model.device)
    decode = interleaved(
        {"decode": lambda: model.decode(latent)}, latency_config["rounds"], latency_config["warmup"], wait
    )
    measured = {}
    bare = seconds.pop(BARE, None)
    for sample_id, values in seconds.items():
        median, mad = median_mad(values)
        peak, cache_bytes = _memory(distinct[sample_id], model, seeds, graphs)
        measured[sample_id] = PointLatency(
            seconds=tuple(values),
            reference_seconds=tuple(seconds[points[0].sample_id]),  # in the same rounds
            bare_seconds=None if bare is None else tuple(bare),
            median=median,
            mad=mad,
            decode_median=median_mad(decode["decode"])[0],
            peak_bytes=peak,
            cache_bytes=cache_bytes,
        )
    return measured


def _trajectory(
    point: Point, model: Model, seeds: Sequence[int], graphs: Compiled | None
) -> Callable[[], int]:
    """A whole trajectory, which returns the bytes of its cache.

    An uncached one runs by the same fast forward as the others, if the denoiser has one: so a speed-up is that of what
    is left out, not of how the rest is computed.
    """
    if graphs is not None:
        return lambda: _compiled_batch(point, model, seeds, graphs)
    return lambda: cached_batch(point, model, seeds, _nothing)[1].cache_bytes


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
    """Peak memory of a run, and the bytes of its cache.

    On a GPU it is all that is allocated there, networks of metrics being off it; on a CPU that of the whole process.
    """
    if model.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(model.device)
    with peak_resident_bytes() as resident:
        cache_bytes = _trajectory(point, model, seeds, graphs)()
    on_device = torch.cuda.max_memory_allocated(model.device) if model.device.type == "cuda" else None
    return on_device or resident.bytes, cache_bytes


def _nothing() -> None: ...
