"""What a run will need, said in one line before the first sample."""

import logging
import shutil
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

import torch

from smoothbench.devices import wait_for
from smoothbench.errors import UsageError, distinct, one_line
from smoothbench.measure import Scorer, part_of
from smoothbench.memory import out_of_memory
from smoothbench.output_memory import output_bytes
from smoothbench.points import Point
from smoothbench.store import Store
from smoothbench.types import Model, Settings

log = logging.getLogger(__name__)

BYTES_PER_VALUE, BYTES_PER_FILE = 1.1, 300  # of a sample on disk: no image takes more as PNG
Missing = tuple[Point, int]  # of a set of samples a point, and its evaluations that are not done yet
LONG = 2.0  # seconds of a call that is not timed twice
MOST_SECONDS = 10**9  # a calendar ends somewhere
BYTES_OF_ROWS = 20_480  # what the metrics keep of a sample: Inception's features, spatial features and logits


def forecast(
    settings: Settings,
    model: Model,
    store: Store,
    scorer: Scorer,
    points: Sequence[Point],
    todo: Sequence[Point],
    missing: Sequence[Missing],
) -> None:
    """Log points, samples, disk and expected end; UsageError where the disk is too small."""
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
    end = _end(settings, model, scorer, points, missing)
    log.info(
        "%s: %d points, %d done, %d to run (%d sets of samples), about %.0f MB on disk, %.3g GB kept by caches, "
        "expected end %s",
        *(settings.experiment, len(points), done, len(todo), len(sampled), need / 1e6),
        *(_cache_bytes(settings, model, sampled) / 1e9, end),
    )


def _bytes(settings: Settings, model: Model, missing: Sequence[Missing]) -> int:
    """Disk for what is missing: rows, and samples, all of them or those of two points at a time."""
    counts = [_samples(settings, *each) for each in missing]
    kept = counts if settings.keep_samples else sorted(counts)[-2:]
    return round(_file_bytes(model) * sum(kept)) + BYTES_OF_ROWS * sum(counts) if sum(counts) else 0


def _cache_bytes(settings: Settings, model: Model, points: Sequence[Point]) -> int:
    """Memory that the outputs kept of a batch take at most: every site's, as many as the predictor looks at."""
    if not points:
        return 0
    skeleton, call = model.skeleton()
    outputs = output_bytes(skeleton, points[0].trajectory.sites, call)
    batch = min(settings.batch_size, max(len(point.spec.seeds) for point in points))
    return sum(outputs) * batch * max(point.predictor.depth for point in points)


@torch.inference_mode()
def _file_bytes(model: Model) -> float:
    """Of one sample, whose size only the decoder knows."""
    nothing = torch.zeros(1, *model.sample_shape, device=model.device)
    return model.decode(nothing).numel() * BYTES_PER_VALUE + BYTES_PER_FILE


def _samples(settings: Settings, point: Point, evaluations: int) -> int:
    """How many samples are still to come: whole batches."""
    return min(len(point.spec.seeds), evaluations // point.trajectory.evals * settings.batch_size)


def _end(
    settings: Settings, model: Model, scorer: Scorer, points: Sequence[Point], missing: Sequence[Missing]
) -> str:
    """When the run may end, and what that leaves out."""
    work, left_out = Work(settings, model, points, missing), "pooling and the report"
    try:
        seconds = work.denoising()
    except Exception as error:
        if out_of_memory(error):
            return "unknown: a whole batch does not fit into memory"
        if settings.draws_samples:
            raise
        return f"unknown ({one_line(error)[:80]})"  # costs are known all the same
    try:
        seconds += work.finishing(scorer)
    except Exception as error:  # whatever refuses noise: the samples themselves may do
        log.debug("", exc_info=True)
        left_out += f", decoding and metrics ({one_line(error)[:80]})"
    now = datetime.now()
    return f"{told(now + timedelta(seconds=min(seconds, MOST_SECONDS)), now)} (without {left_out})"


def told(end: datetime, now: datetime) -> str:
    """A time, with the date where that is another day."""
    return f"{end:%H:%M}" if end.date() == now.date() else f"{end:%Y-%m-%d %H:%M}"


class Work:
    """What a run has to do, timed on one evaluation and on one sample."""

    def __init__(
        self, settings: Settings, model: Model, points: Sequence[Point], missing: Sequence[Missing]
    ) -> None:
        self.settings, self.model, self.points = settings, model, points
        self.samples = [(point, _samples(settings, point, evaluations)) for point, evaluations in missing]

    @torch.inference_mode()
    def denoising(self) -> float:
        """Seconds of all evaluations by their MACs, those of the latency stage among them."""
        asked, model, reference = self.settings.latency, self.model, self.points[0]
        macs = sum(point.planned_macs * count for point, count in self.samples)
        batch = min(self.settings.batch_size, len(reference.spec.seeds))
        if self.settings.times_latency(model.device.type) and (macs or not self.settings.draws_samples):
            runs = (asked["rounds"] + asked["warmup"] + 1) * asked["batch_size"]
            batch = batch if macs else asked["batch_size"]
            macs += sum(point.planned_macs for point in self.points) * runs
        if not macs:
            return 0.0
        x, conditions = torch.zeros(batch, *model.sample_shape), model.conditions(range(batch))
        run = partial(model.predict, x.to(model.device), 0.0, conditions, lambda forward_index: None)
        evaluation = _seconds(run, model.device) / batch
        return evaluation * reference.trajectory.evals / reference.planned_macs * macs

    @torch.inference_mode()
    def finishing(self, scorer: Scorer) -> float:
        """Seconds of decoding and writing what is still to be sampled, and of what the metrics see of it."""
        drawn = sum(count for _, count in self.samples)
        seen = sum(
            len(point.spec.seeds)
            for point, _ in self.samples
            if scorer.missing(part_of(point, self.points[0]))
        )
        if not (drawn or seen):
            return 0.0
        model = self.model
        noise = torch.randn(1, *model.sample_shape, generator=torch.Generator().manual_seed(0))
        x, images = noise.to(model.device), model.decode(noise.to(model.device))
        batch = {"samples": images, "baseline": images, "condition": model.conditions([0])}
        chosen = {gauge.key(""): gauge for gauge in scorer.gauges.values()}
        made = _seconds(lambda: model.media.encode(model.decode(x)[0]), model.device)
        return drawn * made + seen * _seconds(lambda: scorer.rows_of(batch, chosen, {}), model.device)


def _seconds(run: Callable[[], object], device: torch.device) -> float:
    """Of a call: of the second one, as the first warms up, unless that takes long."""
    wait = wait_for(device) or (lambda: None)
    seconds = 0.0
    for _ in range(2):
        started = time.perf_counter()
        run()
        wait()
        seconds = time.perf_counter() - started
        if seconds > LONG:
            break
    return seconds
