"""Video clips as inputs of metrics: checks, grey values, and image encoders that are run frame by frame."""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

LUMA = (0.299, 0.587, 0.114)  # Rec. 601, as OpenCV's grey


def checked_clips(clips: Tensor, name: str = "samples", least: int = 1) -> Tensor:
    """Return the clips if they are uint8 [B, T, C, H, W] with 1 or 3 channels and at least `least` frames.

    Raises ValueError, with the type and shape, for others.
    """
    if clips.dtype != torch.uint8 or clips.ndim != 5 or clips.shape[2] not in (1, 3) or 0 in clips.shape:
        raise ValueError(
            f"{name} must be clips uint8 [B, T, C, H, W] with 1 or 3 channels, "
            f"not {clips.dtype} {list(clips.shape)}"
        )
    if clips.shape[1] < least:
        raise ValueError(f"clips of {clips.shape[1]} frames are too short, at least {least}: leave it out")
    return clips


def checked_pair(samples: Tensor, baseline: Tensor, least: int = 1) -> tuple[Tensor, Tensor]:
    """Return clips and the uncached clips of the same seeds; ValueError unless they have one shape."""
    checked_clips(samples, least=least)
    if checked_clips(baseline, "baseline").shape != samples.shape:
        raise ValueError(
            f"samples {list(samples.shape)} and baseline {list(baseline.shape)} differ: "
            "pair them by seed, at one setting of the model"
        )
    return samples, baseline


def grey(clips: Tensor) -> Tensor:
    """Convert frames [..., C, H, W] to their luma, float32 [..., H, W], 0 to 255."""
    frames = clips.float()
    if frames.shape[-3] == 1:
        return frames.squeeze(-3)
    return (frames * frames.new_tensor(LUMA)[:, None, None]).sum(-3)


class FrameEncoder(nn.Module):
    """Encodes video clips frame by frame with an encoder of images.

    forward(uint8 [B, T, C, H, W]) gives a dict: `frames` [B, T, D], the network's `output` for each frame, and,
    where the network gives `stages`, these as one vector per clip, scaled so that the squared distance of
    two vectors is the mean over frames. `network` maps images uint8 [N, C, H, W] to a dict; with null the
    pixels themselves, 0 to 1, are the features. With a `coarse` above 1 the network sees frames whose squares of
    `coarse` x `coarse` pixels are averaged: the background, as far as it can be told without a segmentation.
    `digest` is the network's. Raises ValueError for other clips, and for a network without that output.
    """

    name = "frames"
    version = 1

    def __init__(self, network: nn.Module | None = None, output: str = "features", coarse: int = 1) -> None:
        super().__init__()
        if type(coarse) is not int or coarse < 1:
            raise ValueError(f"FrameEncoder coarse={coarse!r:.60} must be a whole number of pixels from 1")
        self.network, self.output, self.coarse = network, output, coarse
        self.digest = getattr(network, "digest", "")

    def forward(self, clips: Tensor) -> dict[str, Tensor]:
        batch, length = checked_clips(clips).shape[:2]
        frames = clips.flatten(0, 1)
        if self.network is None:
            return {"frames": self._coarse(frames).flatten(1).unflatten(0, (batch, length)) / 255}
        if self.coarse > 1:
            back = interpolate(self._coarse(frames), clips.shape[3:], mode="bilinear")
            frames = back.round().to(torch.uint8)
        outputs: dict[str, Tensor] = self.network(frames)
        if self.output not in outputs:
            raise ValueError(f"the encoder of frames gives {', '.join(outputs)}, not {self.output}")
        features = {"frames": outputs[self.output].flatten(1).unflatten(0, (batch, length))}
        if "stages" in outputs:
            features["stages"] = outputs["stages"].unflatten(0, (batch, length)).flatten(1) / length**0.5
        return features

    def _coarse(self, frames: Tensor) -> Tensor:
        """Average squares of pixels, which blurs and reduces frames at once; float32 [N, C, H / coarse, W / coarse]."""
        size = [max(1, round(side / self.coarse)) for side in frames.shape[2:]]
        return interpolate(frames.float(), size, mode="area")
