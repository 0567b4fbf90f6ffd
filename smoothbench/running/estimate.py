"""What a run will need: estimated and logged in one line before anything costs time."""

import logging
import shutil
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

import torch

from smoothbench.caching.inputs import PredictsFromInput
from smoothbench.errors import UsageError, distinct, one_line
from smoothbench.planning.point import Point
from smoothbench.protocols import Model, SamplesItself
from smoothbench.running.todo import Missing, Progress, sets_to_do
from smoothbench.running.workbench import Workbench
from smoothbench.sampling.devices import wait_for
from smoothbench.sampling.out_of_memory import out_of_memory
from smoothbench.sampling.output_memory import output_bytes_of
from smoothbench.self_sampling import samples_at_once
from smoothbench.storage.identity import canonical

log = logging.getLogger(__name__)

BYTES_PER_FILE = 300  # of a sample on disk, beside its numbers: headers, its entry in an archive, its line
LONG = 2.0  # seconds of a call that is not timed twice
MOST_SECONDS = 10**9  # a calendar ends somewhere
FEATURE_BYTES = 20_480  # of a sample's features: Inception's features, spatial features and logits


def announce(bench: Workbench, states: Sequence[Progress]) -> None:
    """Log points, samples, disk, memory and expected end.

    Points whose error curves are still to be measured count as if nothing of them were done and nothing skipped.
    """
    todo = [state.point for state in states if not state.done]
    name, done = bench.settings.experiment, len(bench.points) - len(todo)
    if not todo:
        log.info("%s: %d points, all done before: nothing to run", name, done)
        return
    missing = sets_to_do(states)
    sampled = [point for point, evaluations in missing if evaluations]
    need = _bytes(bench, missing)
    calibrations = uncalibrated(bench.points)
    log.info(
        "%s: %d points, %d done, %d to run (%d sets of samples)%s, about %.0f MB on disk, %.3g GB kept by caches, "
        "expected end %s%s",
        *(name, len(bench.points), done, len(todo), len(sampled)),
        f", {len(calibrations)} to calibrate first" if calibrations else "",
        *(need / 1e6, _cache_bytes(bench, sampled) / 1e9),
        "at the latest " if calibrations else "",
        _end(bench, missing),
    )


def check_disk(bench: Workbench, states: Sequence[Progress]) -> None:
    """Raise UsageError, with the ways out, where the disk is too small for the samples that are surely missing.

    Which samples a point needs whose error curves are still to be measured is not known: it counts as nothing.
    """
    need = _bytes(bench, sets_to_do([state for state in states if not state.point.uncalibrated]))
    free = shutil.disk_usage(bench.store.folder).free
    if need > free:
        available, needed = distinct(free / 1e9, need / 1e9)
        sparing = ", or keep_samples=false, which drops them once they are scored"
        raise UsageError(
            f"{bench.store.folder} has {available} GB free, but the samples need about {needed}: take fewer points by "
            f"only=[...], another disk by results_dir=...{sparing if bench.settings.keep_samples else ''}"
        )


def uncalibrated(points: Sequence[Point]) -> list[Point]:
    """A point for each calibration that is still to be measured, and for each plan that is to be made on one."""
    keys = {_calibration(point): point for point in points if point.uncalibrated}
    return list(keys.values())


def _calibration(point: Point) -> str:
    """What a calibration is known by, of one solver; a plan that is made on it is one of its own."""
    sites = [site.name for site in point.trajectory.sites]
    planning = point.point_id if point.plans_on_batch else None
    return canonical([point.described["solver"], point.spec.calibration, sites, planning])


def _bytes(bench: Workbench, missing: Sequence[Missing]) -> int:
    """Bytes on disk of what is missing: features, and samples, all of them or those of two points at a time."""
    counts = [_samples(bench, *each) for each in missing]
    on_disk = counts if bench.settings.keep_samples else sorted(counts)[-2:]
    return round(_file_bytes(bench.model) * sum(on_disk)) + FEATURE_BYTES * sum(counts) if sum(counts) else 0


def _cache_bytes(bench: Workbench, points: Sequence[Point]) -> int:
    """Memory of a batch's cached outputs at most: every site's, as many as the predictor looks at."""
    chosen = {point.trajectory.sites for point in points}
    choices = {sites: sum(output_bytes_of(bench.model, sites)) for sites in chosen}
    most = max((choices[point.trajectory.sites] * _depth(point) for point in points), default=0)
    batch = min(bench.settings.batch_size, max((len(point.spec.seeds) for point in points), default=0))
    return most * samples_at_once(bench.model, batch)


def _depth(point: Point) -> int:
    """How many tensors are kept for each one that a site gives: as many inputs, too, where a predictor reads them."""
    depth = min(point.predictor.depth, point.trajectory.evals)
    return 2 * depth if isinstance(point.predictor, PredictsFromInput) else depth


@torch.inference_mode()
def _file_bytes(model: Model) -> float:
    """Bytes on disk of one sample, whose size only the decoder knows; its codec says what a number takes."""
    nothing = torch.zeros(1, *model.sample_shape, device=model.device)
    return model.decode(nothing).numel() * model.media.bytes_per_value + BYTES_PER_FILE


def _samples(bench: Workbench, point: Point, evaluations: int) -> int:
    """The number of samples that are still to be drawn, in whole batches."""
    size = samples_at_once(bench.model, bench.settings.batch_size)
    return min(len(point.spec.seeds), evaluations // point.trajectory.evals * size)


def _end(bench: Workbench, missing: Sequence[Missing]) -> str:
    """The expected time of the run's end, and what that leaves out."""
    work, left_out = Work(bench, missing), "pooling and the report"
    if any(point.uncalibrated and point.plans_on_batch for point in bench.points):
        left_out = f"planning on the calibration batch, {left_out}"
    try:
        seconds = work.denoising()
    except Exception as error:
        if out_of_memory(error):
            return "unknown: a whole batch does not fit into memory"
        if bench.settings.draws_samples:
            raise
        return f"unknown ({one_line(error)[:80]})"  # costs are known all the same
    try:
        seconds += work.finishing()
    except Exception as error:  # whatever refuses noise: the samples themselves may do
        log.debug("", exc_info=True)
        left_out += f", decoding and metrics ({one_line(error)[:80]})"
    now = datetime.now()
    return f"{clock_time(now + timedelta(seconds=min(seconds, MOST_SECONDS)), now)} (without {left_out})"


def clock_time(end: datetime, now: datetime) -> str:
    """A time of day, with the date where that is another day."""
    return f"{end:%H:%M}" if end.date() == now.date() else f"{end:%Y-%m-%d %H:%M}"


class Work:
    """The work of a run in seconds, timed on one evaluation and on one sample."""

    def __init__(self, bench: Workbench, missing: Sequence[Missing]) -> None:
        self.bench, self.model, self.settings = bench, bench.model, bench.settings
        self.samples = [(point, _samples(bench, point, evaluations)) for point, evaluations in missing]

    @torch.inference_mode()
    def denoising(self) -> float:
        """Seconds of all evaluations by their MACs, those of calibrations and of the latency stage among them."""
        latency, model, reference = self.settings.latency, self.model, self.bench.reference
        macs = sum(point.planned_macs * count for point, count in self.samples)
        for point in uncalibrated(self.bench.points):
            macs += point.planned_macs * point.spec.calibration["num_samples"]
        batch = min(self.settings.batch_size, len(reference.spec.seeds))
        if self.settings.times_latency(model.device.type) and (macs or not self.settings.draws_samples):
            runs = (latency["rounds"] + latency["warmup"] + 1) * latency["batch_size"]
            batch = batch if macs else latency["batch_size"]
            macs += sum(point.planned_macs for point in self.bench.points if point.runs) * runs
        if not macs:
            return 0.0
        evaluation = _seconds_of_evaluation(model, batch)
        return evaluation * reference.trajectory.evals / reference.planned_macs * macs

    @torch.inference_mode()
    def finishing(self) -> float:
        """Seconds of decoding and writing the missing samples, and of extracting the metrics' features."""
        scorer = self.bench.scorer
        drawn = sum(count for _, count in self.samples)
        seen = sum(
            len(point.spec.seeds) for point, _ in self.samples if scorer.metrics_to_do(self.bench.part(point))
        )
        if not (drawn or seen):
            return 0.0
        model = self.model
        noise = torch.randn(1, *model.sample_shape, generator=torch.Generator().manual_seed(0))
        x, images = noise.to(model.device), model.decode(noise.to(model.device))
        batch = {"samples": images, "baseline": images, "condition": model.labels_or_prompts([0])}
        chosen = {bound_metric.key(""): bound_metric for bound_metric in scorer.metrics.values()}
        made = _seconds(lambda: model.media.encode(model.decode(x)[0]), model.device)
        reasons: dict[str, str] = {}
        scored = _seconds(lambda: scorer.features_of(batch, chosen, reasons), model.device)
        if reasons:
            raise ValueError(next(iter(reasons.values())))
        return drawn * made + seen * scored


def _seconds_of_evaluation(model: Model, batch: int) -> float:
    """Seconds of an evaluation for one sample of a batch; of a model that samples itself, of a batch of one."""
    if isinstance(model, SamplesItself):
        return _seconds(model.skeleton()[1], model.device)
    x = torch.zeros(batch, *model.sample_shape).to(model.device)
    conditioning = model.conditioning(model.labels_or_prompts(range(batch)))
    run = partial(model.predict, x, 0.0, conditioning, lambda forward_index: None)
    return _seconds(run, model.device) / batch


def _seconds(run: Callable[[], object], device: torch.device) -> float:
    """Seconds of a call: of the second one, as the first warms up, unless that takes long."""
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
