"""OpenL3 as an encoder of audio windows, on which FD-OpenL3 is defined (stable-audio-metrics; arXiv 2402.04825)."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from smoothbench.evaluators.audio_windows import as_floats, at_peak, resampled, windows
from smoothbench.protocols import Digested

RATE: Final = 48_000
BANDWIDTH: Final = (
    44_100  # the rate to which the published scores resample all clips before OpenL3's own rate
)
WINDOW: Final = RATE  # one second
HOP: Final = RATE // 2
INSTALL: Final = (
    "OpenL3 needs TensorFlow, and the package and weights of `pip install openl3==0.4.2` (in an environment with "
    "numpy 1): install it, or name another network, float32 [M, 48000] to [M, D], in encoder.network"
)


class WindowEncoder(nn.Module):
    """Encodes windows of one second, every half second, by a network for 48 kHz mono; channels are concatenated.

    Clips are prepared as in stable-audio-metrics: scaled to a peak of -1 dB, resampled to 44.1 kHz, then, as OpenL3
    does, to 48 kHz; the first window is centred on the start, the last one padded: 20 windows for 10 s. The resampling
    to 48 kHz agrees with resampy 0.2.2, which stable-audio-metrics pins, up to 0.9 of half of 44.1 kHz; reference
    statistics must be made with that version too: see `reference_statistics`.
    forward(int16 [N, C, T] at `rate` Hz) gives a dict with `windows` float32 [N, W, C D]. `network` maps
    float32 [M, 48000] to [M, D]; `digest` is its own, if it has one. Raises ValueError for clips of another type or
    another number of channels (`channels`), shorter than a second, or silent, and for outputs of another shape.
    """

    name = "openl3_windows"
    version = 1

    def __init__(self, network: nn.Module, rate: int, channels: int = 2) -> None:
        super().__init__()
        if not isinstance(network, nn.Module):
            raise ValueError(f"OpenL3: network must be a node with a _target_, not {network!r:.60}")
        if type(rate) is not int or rate < 1 or channels not in (1, 2):
            raise ValueError(f"OpenL3: rate={rate}, channels={channels}: whole Hz, and 1 or 2 channels")
        self.network, self.rate, self.channels = network, rate, channels
        self.digest = network.digest if isinstance(network, Digested) else None
        self.shortest = rate

    def forward(self, clips: Tensor) -> dict[str, Tensor]:
        audio = at_peak(as_floats(clips, "OpenL3", (self.channels,), self.shortest), "OpenL3")
        # lower rates are not raised to 44.1 kHz first: it would change nothing
        bandwidth = min(self.rate, BANDWIDTH)
        audio = resampled(resampled(audio, self.rate, bandwidth), bandwidth, RATE)
        cut = windows(audio, WINDOW, HOP, lead=WINDOW // 2)
        encoded = [self._encode(clip.flatten(0, 1), clips.device) for clip in cut]
        features = torch.stack(encoded).unflatten(1, cut.shape[1:3])
        return {"windows": features.transpose(1, 2).flatten(2)}

    def _encode(self, frames: Tensor, device: torch.device) -> Tensor:
        features: Tensor = self.network(frames.float().to(device))
        if features.ndim != 2 or len(features) != len(frames):
            raise ValueError(
                f"encoder.network gives {list(features.shape)} for {len(frames)} windows: [M, D] is asked for"
            )
        return features.float()


def reference_statistics(file: str | None) -> str:
    """Return the path of reference statistics, an npz; ValueError, with the way out, where none is named.

    Make statistics of your own by stable-audio-metrics with the versions that its requirements.txt pins, above all
    resampy 0.2.2, by which OpenL3 resamples from 44.1 to 48 kHz. From 0.3 on resampy has another filter: at 0.9 of
    half of 44.1 kHz it is 2.2 dB down, where 0.2.2's and ours are flat; at 0.95, 22 dB down and not 7 (ours: 6).
    Statistics made with it lack high frequencies that the scored clips have: distances to them are not comparable
    with published ones.
    """
    if file is None:
        raise ValueError(
            "no reference statistics: set model.evaluation.openl3 to the file of your prompts in load/openl3_fd/ of "
            "https://github.com/Stability-AI/stable-audio-metrics, and model.evaluation.content to what it was made "
            "with: env for AudioCaps, music for MusicCaps and Song Describer"
        )
    return file


class PublishedOpenL3(nn.Module):
    """Runs the published network (mel256, 512 features) of its own package, float32 [M, 48000] to [M, 512].

    `content`, music or env, says which data it was trained on. Raises ValueError for another one, and, with the way
    out, where the package is not installed.
    """

    name = "openl3"
    version = 1

    def __init__(self, content: str = "music") -> None:
        super().__init__()
        if content not in ("music", "env"):
            raise ValueError(f"OpenL3: content must be music or env, not {content}")
        if find_spec("openl3") is None:
            raise ValueError(INSTALL)
        self._package: Any = import_module("openl3")
        self._model = self._package.models.load_audio_embedding_model("mel256", content, 512)

    def forward(self, frames: Tensor) -> Tensor:
        audio = list(frames.cpu().numpy())
        embeddings, _ = self._package.get_audio_embedding(
            audio, RATE, model=self._model, center=False, hop_size=HOP / RATE, verbose=False
        )
        return torch.from_numpy(np.concatenate(embeddings)).to(frames.device)
