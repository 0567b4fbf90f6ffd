"""CLAP as an encoder of clips and captions (Wu et al. 2023, arXiv 2211.06687), through transformers."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Final, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from smoothbench.errors import one_line
from smoothbench.evaluators.audio_windows import as_floats, at_peak, mono, resampled
from smoothbench.models.base.prompts import Prompts
from smoothbench.models.weights.diffusers_layout import load_component
from smoothbench.models.weights.locate import CONFIG, TOKENIZER_FILES, Files, download, find
from smoothbench.protocols import Digested

RATE: Final = 48_000
LONGEST: Final = 77  # tokens of a caption, as LAION's own code cuts it
BATCH: Final = 64
# part of the digest, with the weights
HASHED_FILES: Final = (CONFIG, "preprocessor_config.json", *TOKENIZER_FILES)


class Towers(Protocol):
    """A network that embeds captions and clips in one space."""

    def of_captions(self, captions: Sequence[str]) -> Tensor: ...


class Clap(nn.Module):
    """Embeds clips and captions by the published CLAP networks of transformers, in float32.

    Clips are prepared as in stable-audio-metrics: channels averaged, 48 kHz, a peak of -1 dB, rounded to 16 bits.
    Clips longer than the network's 10 s are seen in three crops, which are drawn from the same seed for each clip.
    Only such clips are marked as longer: transformers would mark a random clip of a batch of short ones.
    forward(int16 [N, 1 or 2, T] at `rate` Hz) gives a dict with `embedding` float32 [N, D] of unit length.
    `digest` is a sha256 of the weights and of the files that define how clips and captions are prepared. Raises
    ValueError for other clips, and silent ones.
    """

    name = "clap"
    version = 1
    digested = ("source", "revision")

    def __init__(self, files: Files, rate: int) -> None:
        super().__init__()
        from transformers import AutoTokenizer, ClapFeatureExtractor, ClapModel  # the extra `audio`

        if type(rate) is not int or rate < 1:
            raise ValueError(f"CLAP: rate={rate!r:.60} must be a whole number of Hz")
        assert files.folder is not None  # as `find` has it
        network: Any = load_component(ClapModel, files)
        self.rate, self.digest, self._network = rate, files.digest(*HASHED_FILES), network.float()
        try:
            self._extractor: Any = ClapFeatureExtractor.from_pretrained(files.folder, local_files_only=True)
            self._tokenizer: Any = AutoTokenizer.from_pretrained(files.folder, local_files_only=True)
        except Exception as error:  # damaged files make parsers raise exceptions of many kinds
            reason = one_line(error)[:200]
            raise ValueError(
                f"{files.folder}: no tokenizer or feature extractor ({reason}): get it again"
            ) from None

    def forward(self, clips: Tensor) -> dict[str, Tensor]:
        audio = as_floats(clips, "CLAP", (1, 2), shortest=1)
        audio = at_peak(resampled(mono(audio), self.rate, RATE), "CLAP")
        rounded = (audio * 32767).trunc() / 32767
        return {"embedding": torch.cat([self._embedding(clip.numpy(), clips.device) for clip in rounded])}

    @torch.inference_mode()
    def of_captions(self, captions: Sequence[str]) -> Tensor:
        """Embed captions as unit vectors float32 [P, D], on the CPU."""
        embeddings = []
        for start in range(0, len(captions), BATCH):
            texts = list(captions[start : start + BATCH])
            tokenized = self._tokenizer(
                texts, padding=True, truncation=True, max_length=LONGEST, return_tensors="pt"
            )
            tokens = {
                name: tokenized[name].to(self._network.device) for name in ("input_ids", "attention_mask")
            }
            embeddings.append(_pooled(self._network.get_text_features(**tokens)).cpu())
        return torch.cat(embeddings).clone()

    def _embedding(self, clip: Any, device: torch.device) -> Tensor:
        with _same_draws():
            features_of_clip = self._extractor(clip, sampling_rate=RATE, return_tensors="pt")
        longer = torch.tensor([[len(clip) > self._extractor.nb_max_samples]], device=device)
        features = features_of_clip["input_features"].float().to(device)
        return _pooled(self._network.get_audio_features(input_features=features, is_longer=longer))


def load_clap(source: str, rate: int, revision: str | None = None) -> Clap:
    """Load CLAP, frozen, from a folder or from a repository in the Hugging Face cache.

    Raises ValueError, with the way out, where transformers or the weights are not installed, or are damaged, and
    where the model has towers of its own in place of a source.
    """
    if not isinstance(source, str):
        kind = type(source).__name__
        raise ValueError(f"CLAP: this model is scored by towers of its own ({kind}): metrics=audio/clap_nano")
    if find_spec("transformers") is None:
        raise ValueError("CLAP needs the package transformers: pip install -e '.[audio]'")
    files = find(source, revision, [""], "encoder.source", names=("model.safetensors", "pytorch_model.bin"))
    if files is None:
        raise ValueError(download("weights of CLAP are", source, revision, "encoder.source"))
    return Clap(files, rate).eval().requires_grad_(False)


def caption_embeddings(towers: Towers, prompts: Prompts) -> Tensor:
    """Embed each prompt, [P, D]; ValueError where there is no prompt.

    If the networks have a `digest`, the table has one too, of the weights and the prompts.
    """
    if not prompts.texts:
        raise ValueError("there are no prompts to embed: set model.prompts.file")
    table = towers.of_captions(prompts.texts).detach().cpu()
    # identified by weights and prompts, because the last bits of the numbers differ between machines
    if isinstance(towers, Digested) and towers.digest:
        made_of = f"{towers.digest} {prompts.digest()}"
        setattr(table, "digest", hashlib.sha256(made_of.encode()).hexdigest())  # noqa: B010
    return table


def _pooled(output: Any) -> Tensor:
    """The embedding of unit length; transformers before 5 returned the tensor itself, not normalised."""
    return normalize(getattr(output, "pooler_output", output), dim=-1)


@contextmanager
def _same_draws() -> Iterator[None]:
    """Seed numpy's global generator, from which the feature extractor draws, and restore it afterwards."""
    state = np.random.get_state()
    np.random.seed(0)
    try:
        yield
    finally:
        np.random.set_state(state)
