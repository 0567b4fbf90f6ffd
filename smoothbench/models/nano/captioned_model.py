"""The base class of the embedded text-to-audio and text-to-video models: small weights, captions of a grammar."""

from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from smoothbench.models.base.guided import Guided
from smoothbench.models.base.prompts import Prompts
from smoothbench.models.nano.captions import Vocabulary
from smoothbench.models.weights.locate import Files, find
from smoothbench.models.weights.read import fill, lasting, read_state
from smoothbench.storage.files import sha256_of

NO_PROMPTS: Final = "model.prompts is an empty list: set model.prompts.list, or its file"


class CaptionedModel(Guided):
    """A prompted model that is small enough to be loaded when it is built.

    `embed_prompts` encodes each prompt by itself, so that no sample depends on its batch.
    """

    prompts: Prompts

    def load_denoiser(self, files: Files, vocabulary: Vocabulary) -> None:
        """Load the denoiser and number the words of the prompts.

        Raises ValueError, naming file or caption, for weights of another model, for no prompts, and for prompts
        outside the vocabulary.
        """
        if not self.prompts.texts:
            raise ValueError(NO_PROMPTS)
        self.words = vocabulary.tokenize(self.prompts.texts)
        self.denoiser = self.empty()
        fill(self.denoiser, read_state(files), files.weights)
        self.denoiser.to(self.device)

    def embedded_identity(self, denoiser: Files, parts: Mapping[str, Path]) -> dict[str, Any]:
        """Return everything that decides the samples: the denoiser's identity and the sha256 of the other files."""
        hashes = {f"{name}_sha256": sha256_of(path) for name, path in parts.items()}
        return {**self._identity(denoiser.sha256()), **hashes}

    @abstractmethod
    def embed_prompts(self) -> tuple[Tensor, Tensor]:
        """Compute the denoiser's two text inputs for each prompt and, last, for no prompt, [P + 1, ...] each."""

    def context(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Return the text inputs of the prompts with these numbers [B]; -1 is no prompt."""
        first, second = self._prompt_embeddings
        places = numbers.to(self.device)
        return first[places], second[places]

    @cached_property
    @lasting
    def _prompt_embeddings(self) -> tuple[Tensor, Tensor]:
        """Text inputs of every prompt, on the device; the last ones, at index -1, are of no prompt."""
        first, second = self.embed_prompts()
        return first.to(self.device), second.to(self.device)


def denoiser_files(folder: Path) -> Files:
    """Find the denoiser's files in a folder; ValueError, naming it, where there are none."""
    if not folder.is_dir():
        raise ValueError(f"weights {folder}: no such folder; model.path must be one that holds denoiser/")
    files = find(str(folder), None, [""], "model.path")
    assert files is not None
    return files
