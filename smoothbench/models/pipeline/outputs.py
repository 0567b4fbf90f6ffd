"""What a pipeline returns, as one batch of tensors, and as the media that samples are written as."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from smoothbench.media.codecs import Flac, Png, Webp, levels, pcm
from smoothbench.protocols import Media

FIELDS: Final = {"images": "image", "image": "image", "frames": "video", "videos": "video", "audios": "audio"}
IMAGE, VIDEO, AUDIO = "image", "video", "audio"


def kind_of(output: Any, samples: Tensor) -> str:
    """Return whether a pipeline's output is of images, video or audio: by its field's name, else by its dimensions.

    Raises ValueError for an output that is none of these, as the embeddings of a prior.
    """
    for name, kind in FIELDS.items():
        if getattr(output, name, None) is not None:
            return VIDEO if kind == IMAGE and samples.dim() == 5 else kind
    kinds = {3: AUDIO, 4: IMAGE, 5: VIDEO}
    if samples.dim() not in kinds:
        fields = f" ({', '.join(output)})" if isinstance(output, Mapping) else ""
        raise ValueError(
            f"the pipeline returned {type(output).__name__}{fields} of shape {list(samples.shape)}, which is no "
            "images, video or audio: give the pipeline that makes these of it (model.repo, model.pipeline)"
        )
    return kinds[samples.dim()]


def batch_of(output: Any) -> Tensor:
    """Return the first part of a pipeline's output as a float tensor [B, ...] on the CPU.

    Raises ValueError for an output that is no batch of numbers.
    """
    first = output[0]
    if isinstance(first, list) and first:
        first = np.stack(
            [np.asarray(part.float().cpu() if isinstance(part, Tensor) else part) for part in first]
        )
    if not isinstance(first, Tensor | np.ndarray):
        raise ValueError(
            f"the pipeline returned {type(first).__name__}, not arrays: it cannot be benchmarked"
        )
    return torch.as_tensor(first).float().cpu()


def as_media(samples: Tensor, kind: str) -> Tensor:
    """Return samples as the codecs lay them out: images [B, C, H, W], clips [B, T, C, H, W], audio [B, C, T]."""
    if kind == AUDIO:
        return samples[:, None] if samples.dim() == 2 else samples
    return samples.movedim(-1, -3) if samples.shape[-1] in (1, 3, 4) else samples


def written(samples: Tensor, kind: str) -> Tensor:
    """Return samples as integers, as the codecs write them: pixels in [0, 1] as uint8, audio in [-1, 1] as int16."""
    return pcm(samples) if kind == AUDIO else levels(2 * samples[..., :3, :, :] - 1)


def media_for(kind: str, fps: float, rate: int) -> Media:
    """Return the codec for a kind of samples."""
    if kind == AUDIO:
        return Flac(rate)
    return Webp(fps) if kind == VIDEO else Png()


def rate_of(pipe: Any) -> int:
    """The sample rate of a pipeline of audio, in Hz; ValueError where none of its components says it."""
    for part in ("vocoder", "vae", "audio_vae"):
        config = getattr(getattr(pipe, part, None), "config", None)
        for name in ("sampling_rate", "sample_rate", "output_sampling_rate"):
            # configurations of diffusers are mappings, those of transformers (vocoders) are not
            if rate := getattr(config, name, None):
                return int(rate)
    raise ValueError(
        "model.rate must say the sample rate of the clips in Hz: no component of the pipeline does"
    )
