"""PaSST as a tagger, on which KL-PaSST is defined (stable-audio-metrics; Koutini et al. 2022, arXiv 2110.05069)."""

import io
import pickle
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from smoothbench.errors import one_line
from smoothbench.evaluators.audio_windows import as_floats, at_peak, mono, resampled, windows
from smoothbench.models.base.prompts import Prompts
from smoothbench.models.weights.read import read_tensors
from smoothbench.protocols import Digested

RATE: Final = 32_000
WINDOW: Final = 10 * RATE
HOP: Final = 5 * RATE
SHORTEST: Final = 0.15  # share of a window: the published code does not pad clips that are shorter
INSTALL: Final = (
    "PaSST is not installed: pip install hear21passt timm torchaudio (they fit torch up to 2.11), or name another "
    "tagger, float32 [M, 320000] to logits [M, K], in encoder.network"
)


class WindowTagger(nn.Module):
    """Averages a tagger's logits over windows of 10 s, every 5 s, of 32 kHz mono.

    Clips are prepared as in stable-audio-metrics: channels averaged, resampled, scaled to a peak of -1 dB. Windows
    start while more than 5 s are left, the last one is padded: one window for 10 s, 9 for 47.55 s.
    forward(int16 [N, C, T] at `rate` Hz) gives a dict with `logits` float32 [N, K]. `network` maps float32
    [M, 320000] to [M, K]; `digest` is its own, if it has one. Raises ValueError for clips of another type, of more
    than 2 channels, shorter than 1.5 s, or silent, and for outputs of another shape.
    """

    name = "tagger_windows"
    version = 1

    def __init__(self, network: nn.Module, rate: int) -> None:
        super().__init__()
        if not isinstance(network, nn.Module):
            raise ValueError(f"PaSST: network must be a node with a _target_, not {network!r:.60}")
        if type(rate) is not int or rate < 1:
            raise ValueError(f"PaSST: rate={rate!r:.60} must be a whole number of Hz")
        self.network, self.rate = network, rate
        self.digest = network.digest if isinstance(network, Digested) else None
        self.shortest = int(SHORTEST * 10 * rate) + 1

    def forward(self, clips: Tensor) -> dict[str, Tensor]:
        audio = as_floats(clips, "PaSST", (1, 2), self.shortest)
        audio = at_peak(resampled(mono(audio), self.rate, RATE), "PaSST")
        cut = windows(audio, WINDOW, HOP)
        logits = [self.network(clip.float().to(clips.device)) for clip in cut]
        if any(of_clip.ndim != 2 or len(of_clip) != cut.shape[1] for of_clip in logits):
            raise ValueError(
                f"encoder.network gives {list(logits[0].shape)} for {cut.shape[1]} windows: not [M, K]"
            )
        return {"logits": torch.stack([of_clip.float().mean(0) for of_clip in logits])}


class PublishedPaSST(nn.Module):
    """Runs a network of the package hear21passt, float32 [M, 320000] to logits [M, 527]."""

    name = "passt"
    version = 1

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._network = network

    def forward(self, clips: Tensor) -> Tensor:
        logits: Tensor = self._network(clips)
        return logits


def published_passt() -> PublishedPaSST:
    """Load the published network with its 527 AudioSet logits; its package downloads the weights at first use.

    Raises ValueError, with the way out, where the package is not installed.
    """
    if find_spec("hear21passt") is None:
        raise ValueError(INSTALL)
    return (
        PublishedPaSST(import_module("hear21passt.base").get_basic_model(mode="logits"))
        .eval()
        .requires_grad_(False)
    )


def reference_logits(file: str | None, prompts: Prompts) -> Tensor:
    """Read the log-probabilities of a tagger on the real clip of each prompt, float32 [P, K].

    Prompts that only calibrate are left out, because no published file has them.

    `file` holds vectors [K] of probabilities by id: one of stable-audio-metrics' load/passt_kld/*.pkl, a safetensors
    file, or a torch checkpoint. Raises ValueError, naming the file, where it does not exist, is damaged, holds
    something else, cannot be read without running code, or lacks a prompt, and where there is no prompt.
    """
    if file is None:
        raise ValueError(
            "no reference tags: set model.evaluation.passt to the file of your prompts in load/passt_kld/ of "
            "https://github.com/Stability-AI/stable-audio-metrics"
        )
    path = Path(file)
    table = _pickled(path) if path.suffix == ".pkl" else read_tensors(path)
    ids = prompts.ids[: prompts.count]
    if not ids:
        raise ValueError(f"{path}: there are no prompts to look up in it: set model.prompts.file")
    if absent := [prompt_id for prompt_id in ids if prompt_id not in table]:
        raise ValueError(
            f"{path}: {len(absent)} of {len(ids)} prompts are not in it, the first has the id {absent[0]:.60}: "
            "leave them out by prompts.subset"
        )
    tags = [table[prompt_id].float() for prompt_id in ids]
    if any(
        vector.ndim != 1 or vector.shape != tags[0].shape or not _is_distribution(vector) for vector in tags
    ):
        raise ValueError(f"{path}: must hold a vector of probabilities, each as long, for each prompt")
    return torch.stack(tags).clamp(min=torch.finfo(torch.float32).tiny).log()


def _is_distribution(vector: Tensor) -> bool:
    return bool((vector >= 0).all()) and abs(float(vector.sum()) - 1) < 1e-3


class _TensorsAlone(pickle.Unpickler):
    """Unpickles a dict of tensors and refuses every other class or function.

    The published files were written by pickle, not torch.save, so torch.load cannot read them with weights_only; it
    reads only the storage of each tensor in them.
    """

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return torch._utils._rebuild_tensor_v2
        if (module, name) == ("torch.storage", "_load_from_bytes"):
            return lambda data: torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        if (module, name) == ("collections", "OrderedDict"):
            return dict
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, and nothing but tensors is read")


def _pickled(path: Path) -> dict[str, Tensor]:
    try:
        with path.open("rb") as file:
            table = _TensorsAlone(file).load()
    except Exception as error:  # damaged bytes make parsers raise exceptions of many kinds
        raise ValueError(f"{path}: refused or damaged ({one_line(error)[:200]}): get it again") from None
    if not isinstance(table, dict) or not all(isinstance(each, Tensor) for each in table.values()):
        raise ValueError(f"{path}: no dict of tensors is in it: get it again")
    return {str(key): value for key, value in table.items()}
