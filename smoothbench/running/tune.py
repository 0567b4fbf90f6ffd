"""stage=tune: a schedule within a budget, or within a loss, checked on samples that it was not made on, as a file."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from smoothbench.config.instantiate import build_model, ready
from smoothbench.config.loss_target import LossTarget
from smoothbench.config.spec import Settings
from smoothbench.errors import PointsFailed, UsageError, one_line
from smoothbench.protocols import Model
from smoothbench.running.experiment import Experiment
from smoothbench.running.out_file import out_file, write_out
from smoothbench.running.trials import Trials
from smoothbench.running.tune_choice import Choice, choose
from smoothbench.running.tuned_file import Tuned, file_bytes, seconds_of, summary, tuned_schedule
from smoothbench.running.tuned_rival import fewer_steps, rival_of
from smoothbench.sampling.devices import started
from smoothbench.scoring.scorer import Scorer
from smoothbench.storage.feature_cache import FeatureCache
from smoothbench.storage.results_folder import Store

log = logging.getLogger(__name__)


def tune(settings: Settings) -> Path:
    """Choose and plan a method, check it on held-out samples, write its schedule to the file `out`, and print it.

    Raises UsageError for a request that cannot be met, and PointsFailed where samples fail or miss the bound that they
    were to keep; then no file is written.
    """
    target = out_file(settings, [".json"])
    device = started(settings.device, settings.tf32)
    store = Store(Path(settings.results_dir).absolute() / "runs" / settings.experiment)
    with store.enter():
        model = ready(build_model(settings.model, device), settings.stage, settings.specs[0].solver)
        observations = FeatureCache(store.folder / "observations")
        scorer = Scorer(settings.metrics, model, observations, settings.score_on == "device")
        paired = [name for name, metric in scorer.metrics.items() if metric.paired]
        trials = Trials(settings, model, store, scorer, _deciding(settings.loss, paired, scorer))
        choice = choose(settings, trials)
        log.info("%s: %s", choice.spec.label, choice.reason)
    tuned = _checked(settings, model, choice, paired, trials.metric)
    try:
        data = file_bytes(tuned_schedule(tuned, model))
    except ValueError as error:
        raise UsageError(f"{choice.spec.label}: {one_line(error)}") from None
    write_out(target, data)
    print(summary(tuned, Path(settings.out or ""), model))
    log.info("wrote %s", target)
    return target


def _deciding(loss: LossTarget | None, paired: Sequence[str], scorer: Scorer) -> str:
    """The metric that decides: that of the bound, or else the first paired one; UsageError where there is none."""
    known = ", ".join(paired)
    if not paired:
        raise UsageError(
            "stage=tune needs a metric that compares with the uncached samples: metrics=psnr, ..."
        )
    if loss is None:
        return paired[0]
    if loss.metric not in paired:
        raise UsageError(
            f"loss={loss}: no metric {loss.metric} compares with the uncached samples; there are {known}"
        )
    if scorer.metrics[loss.metric].metric.higher_is_better != loss.at_least:
        right = replace(loss, at_least=not loss.at_least)
        raise UsageError(
            f"loss={loss}: bounds {loss.metric} on its worse side; 'loss={right}' bounds the loss"
        )
    return loss.metric


def _checked(settings: Settings, model: Model, choice: Choice, paired: Sequence[str], metric: str) -> Tuned:
    """Sample the chosen point, the uncached one and fewer steps on the seeds of the settings, score and time them."""
    metrics = {name: settings.metrics[name] for name in paired}
    specs, fewer = [settings.specs[0], choice.spec], fewer_steps(settings.specs[0], choice.point)
    specs += [fewer] if fewer is not None else []
    running = Experiment(
        replace(settings, stage="all", out=None, loss=None, specs=specs, metrics=metrics), model
    )
    try:
        running.run()
    except PointsFailed as error:  # maybe of the fewer steps alone
        log.warning("%s", one_line(error))
    (reference, point, *rivals), store = running.bench.points, running.store
    record = store.record(point.spec.name, point.point_id)
    if record is None or record.status.quality != "done":
        raise PointsFailed(f"{point.spec.label}: {record.reason if record else 'its record is gone'}")
    rival = rival_of(point, rivals[0], metric, store) if rivals else None
    tuned = Tuned(point, record, choice.reason, seconds_of(point, reference, store.folder), paired, rival)
    if settings.loss is not None:
        score = tuned.losses.get(settings.loss.metric)
        if score is None:
            raise PointsFailed(
                f"loss={settings.loss}: samples have no {settings.loss.metric} ({record.reason})"
            )
        if not settings.loss.met_by(score.value):
            raise PointsFailed(
                f"loss={settings.loss}: kept on calibration, but {score.value:.4g} on {score.n} other samples: "
                "calibrate on more (calibration.num_samples) or leave a margin in the bound"
            )
    return tuned
