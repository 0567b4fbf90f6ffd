"""OpenL3 as an encoder of windows: what FD-OpenL3 is defined on (stable-audio-metrics; arXiv 2402.04825)."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from smoothbench.evaluators.audio_windows import as_floats, at_peak, resampled, windows
from smoothbench.protocols import Digested

RATE: Final = 48_000
BANDWIDTH: Final = 44_100  # the rate to which the published scores bring all clips, before OpenL3's own
WINDOW: Final = RATE  # one second
HOP: Final = RATE // 2
INSTALL: Final = (
    "OpenL3 needs TensorFlow, and the package and weights of `pip install openl3==0.4.2` (in an environment with "
    "numpy 1): install it, or name another network, float32 [M, 48000] to [M, D], in encoder.network"
)


class WindowEncoder(nn.Module):
    """Encodes windows of one second, every half second, by a network for 48 kHz mono, left and right side by side.

    As stable-audio-metrics has it: each clip is brought to a peak of -1 dB, resampled to 44.1 kHz, then by
    OpenL3 to 48 kHz; the first window is centred on the start, the last one padded: 20 for 10 s. The way to 48 kHz
    is resampy 0.2.2's, which stable-audio-metrics pins, up to 0.9 of half of 44.1 kHz; a reference needs it too: see
    `reference_statistics`.
    forward(int16 [N, C, T] at `rate` Hz) gives a dict with `windows` float32 [N, W, C D]. `network` takes
    float32 [M, 48000] to [M, D]; `digest` is its own, if any. Raises ValueError for clips of another type,
    number of channels (`channels`), shorter than a second, or silent, and for what the network gives.
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
        bandwidth = min(self.rate, BANDWIDTH)  # on the way up to 44.1 kHz nothing is lost
        audio = resampled(resampled(audio, self.rate, bandwidth), bandwidth, RATE)
        parts = windows(audio, WINDOW, HOP, lead=WINDOW // 2)
        rows = [self._seen(clip.flatten(0, 1), clips.device) for clip in parts]
        features = torch.stack(rows).unflatten(1, parts.shape[1:3])
        return {"windows": features.transpose(1, 2).flatten(2)}

    def _seen(self, frames: Tensor, device: torch.device) -> Tensor:
        rows: Tensor = self.network(frames.float().to(device))
        if rows.ndim != 2 or len(rows) != len(frames):
            raise ValueError(
                f"encoder.network gives {list(rows.shape)} for {len(frames)} windows: [M, D] is asked for"
            )
        return rows.float()


def reference_statistics(file: str | None) -> str:
    """Return the path of reference statistics, an npz; ValueError, saying what to do, where none is named.

    Statistics of your own: by stable-audio-metrics with the versions that its requirements.txt pins, above all
    resampy 0.2.2, by which OpenL3 goes from 44.1 to 48 kHz. From 0.3 on resampy has another filter: at 0.9 of half
    of 44.1 kHz it is 2.2 dB down, where 0.2.2's and ours are flat; at 0.95, 22 dB and not 7 (ours: 6). A reference
    made with it lacks what the clips that are scored have up there: distances to it are not the published ones.
    """
    if file is None:
        raise ValueError(
            "no reference statistics: set model.evaluation.openl3 to the file of your prompts in load/openl3_fd/ of "
            "https://github.com/Stability-AI/stable-audio-metrics, and model.evaluation.content to what it was made "
            "with: env for AudioCaps, music for MusicCaps and Song Describer"
        )
    return file


class PublishedOpenL3(nn.Module):
    """The published network (mel256, 512 features) from its own package, float32 [M, 48000] to [M, 512].

    `content`: music or env, what it was trained on. Raises ValueError for another one, and, saying what to
    do, where the package is not installed.
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
        rows, _ = self._package.get_audio_embedding(
            audio, RATE, model=self._model, center=False, hop_size=HOP / RATE, verbose=False
        )
        return torch.from_numpy(np.concatenate(rows)).to(frames.device)
