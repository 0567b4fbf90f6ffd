"""What a run will need, said in one line before the first sample."""

import logging
import shutil
import time
from collections.abc import Sequence
from datetime import datetime, timedelta

import torch

from smoothbench.errors import UsageError, distinct
from smoothbench.generate import out_of_memory
from smoothbench.points import Point
from smoothbench.store import Store
from smoothbench.types import Model, Settings

log = logging.getLogger(__name__)

BYTES_PER_VALUE, BYTES_PER_FILE = 1.1, 300  # of a sample on disk: no image takes more as PNG
BYTES_OF_ROWS = 20_480  # what the metrics keep of a sample: Inception's features, spatial features and logits


def forecast(
    settings: Settings,
    model: Model,
    store: Store,
    points: Sequence[Point],
    todo: Sequence[Point],
    missing: Sequence[tuple[Point, int]],
) -> None:
    """Log points, samples, disk and expected end; UsageError where the disk is too small.

    `missing`: of each set of samples a point and its evaluations that are not done yet.
    """
    done = len(points) - len(todo)
    if not todo:
        log.info("%s: %d points, all done before: nothing to run", settings.experiment, done)
        return
    sampled = [point for point, evaluations in missing if evaluations]
    need = _bytes(settings, model, missing)
    free = shutil.disk_usage(store.folder).free
    if need > free:
        there, asked = distinct(free / 1e9, need / 1e9)
        raise UsageError(f"{store.folder} has {there} GB free, but the samples need {asked}")
    end = _end(settings, model, points[0], sampled)
    log.info(
        "%s: %d points, %d done, %d to run (%d sets of samples), about %.0f MB on disk, expected end %s",
        *(settings.experiment, len(points), done, len(todo), len(sampled), need / 1e6, end),
    )


def _bytes(settings: Settings, model: Model, missing: Sequence[tuple[Point, int]]) -> int:
    """Disk for what is missing: rows, and samples, all of them or those of two points at a time."""
    counts = [_samples(settings, *each) for each in missing]
    kept = counts if settings.keep_samples else sorted(counts)[-2:]
    return round(_file_bytes(model) * sum(kept)) + BYTES_OF_ROWS * sum(counts) if sum(counts) else 0


@torch.inference_mode()
def _file_bytes(model: Model) -> float:
    """Of one sample, whose size only the decoder knows."""
    nothing = torch.zeros(1, *model.sample_shape, device=model.device)
    return model.decode(nothing).numel() * BYTES_PER_VALUE + BYTES_PER_FILE


def _samples(settings: Settings, point: Point, evaluations: int) -> int:
    """How many samples are still to come: whole batches."""
    return min(len(point.spec.seeds), evaluations // point.trajectory.evals * settings.batch_size)


def _end(settings: Settings, model: Model, reference: Point, points: Sequence[Point]) -> str:
    try:
        seconds = _seconds(settings, model, reference, points)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        return "unknown: a whole batch does not fit into memory"
    return f"{datetime.now() + timedelta(seconds=seconds):%H:%M}"


@torch.inference_mode()
def _seconds(settings: Settings, model: Model, reference: Point, points: Sequence[Point]) -> float:
    """An estimate from one timed evaluation: samples by MACs, then the latency stage likewise."""
    if not points:
        return 0.0
    batch = min(settings.batch_size, len(points[0].spec.seeds))
    x, conditions = torch.zeros(batch, *model.sample_shape), model.conditions(range(batch))
    for _ in range(2):  # the first call warms up
        started = time.perf_counter()
        model.predict(x.to(model.device), 0.0, conditions, lambda branch: None)
    per_mac = (time.perf_counter() - started) / batch * reference.trajectory.evals / reference.planned_macs
    asked = settings.latency
    timed = (asked["rounds"] + asked["warmup"] + 1) * asked["batch_size"] if asked["rounds"] else 0
    return sum(per_mac * p.planned_macs * (len(p.spec.seeds) + timed) for p in points)
