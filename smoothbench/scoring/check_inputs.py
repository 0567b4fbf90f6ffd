"""Whether metrics and their encoders can take a model's clips, and so few of them, before there is one."""

from collections.abc import Mapping
from typing import Any

from smoothbench.errors import UsageError
from smoothbench.protocols import HasChannels, HasRate, MakesClips, Model, NeedsFrames
from smoothbench.scoring.metric import BoundMetric, NeedsSamples


def check_count(metrics: Mapping[str, BoundMetric], count: int) -> None:
    """UsageError, naming the metric, where one cannot score as few samples as the experiment has."""
    for name, bound_metric in metrics.items():
        metric = bound_metric.metric
        if isinstance(metric, NeedsSamples) and count < metric.fewest:
            raise UsageError(
                f"num_samples={count}: metrics.{name} needs at least {metric.fewest}; take more, or other metrics="
            )


def check_clips(where: str, model: Model, *parts: Any) -> None:
    """UsageError where an encoder or metric was made for other clips than the model's.

    Compared are `rate` (Hz), `channels` and `shortest` (frames) of each part that has them with the rate of the
    model's media and its `clip_shape`, channels and frames, where it has these.
    """
    rate = model.media.rate if isinstance(model.media, HasRate) else None
    for part in parts:
        if isinstance(part, HasRate) and part.rate != rate:
            clips = "no clips" if rate is None else f"clips of {rate} Hz"
            raise UsageError(
                f"{where}: is set to clips of {part.rate} Hz, {model.name} makes {clips}: set its rate"
            )
        if isinstance(model, MakesClips):
            _check_shape(where, model.name, model.clip_shape, part)


def _check_shape(where: str, name: str, clip_shape: tuple[int, int], part: Any) -> None:
    channels, frames = clip_shape
    if isinstance(part, HasChannels) and part.channels != channels:
        raise UsageError(
            f"{where}: takes clips of {part.channels} channels, {name} makes {channels}: set its channels, or leave "
            "it out"
        )
    if isinstance(part, NeedsFrames) and part.shortest > frames:
        raise UsageError(
            f"{where}: needs clips of at least {part.shortest} frames, those of {name} have {frames}: leave it out"
        )
