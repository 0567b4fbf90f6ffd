"""Whether metrics and their encoders can take a model's clips, before there is one."""

from typing import Any

from smoothbench.errors import UsageError
from smoothbench.protocols import Model


def check_clips(where: str, model: Model, *parts: Any) -> None:
    """UsageError where an encoder or metric was made for other clips than the model's.

    Compared are `rate` (Hz), `channels` and `shortest` (frames) of each part that has them with the rate of the
    model's media and its `clip_shape`, channels and frames, where it has these.
    """
    theirs = getattr(model.media, "rate", None)
    channels, frames = getattr(model, "clip_shape", (None, None))
    for part in parts:
        if (rate := getattr(part, "rate", theirs)) != theirs:
            found = "no clips" if theirs is None else f"clips of {theirs} Hz"
            raise UsageError(
                f"{where}: is set to clips of {rate} Hz, {model.name} makes {found}: set its rate"
            )
        if channels is not None and (asked := getattr(part, "channels", channels)) != channels:
            raise UsageError(
                f"{where}: takes clips of {asked} channels, {model.name} makes {channels}: set its channels, or leave "
                "it out"
            )
        if frames is not None and (shortest := getattr(part, "shortest", 0)) > frames:
            raise UsageError(
                f"{where}: needs clips of at least {shortest} frames, those of {model.name} have {frames}: leave it out"
            )
