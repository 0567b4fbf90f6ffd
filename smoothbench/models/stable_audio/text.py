"""The conditioning of Stable Audio Open: prompts through T5, seconds through number embeddings."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from smoothbench.models.base.t5 import T5, TOKENIZER, frozen
from smoothbench.models.weights.diffusers_layout import load_component
from smoothbench.models.weights.locate import Files
from smoothbench.models.weights.read import lasting


class TextEncoder:
    """Encodes prompts and seconds for the transformer, in float32 on the CPU.

    Each prompt is encoded once and by itself, so that it does not depend on its batch. Raises ValueError,
    naming the file, for files that are damaged or of another model.
    """

    def __init__(
        self, encoder: Files, projection: Files, tokenizer: Path, tokens: int, device: torch.device
    ) -> None:
        from diffusers import StableAudioProjectionModel  # it needs transformers, which costs do not

        self._t5 = T5(encoder, tokenizer, tokens, device)
        loaded = load_component(StableAudioProjectionModel, projection, low_cpu_mem_usage=False)
        self._projection: Any = frozen(loaded, device)
        self._encoded: dict[str, Tensor] = {}

    def embed(self, texts: Iterable[str]) -> None:
        """Encode the prompts that are not known yet, with the text encoder on the device for no longer than that."""
        self._t5.encode_together((text for text in texts if text not in self._encoded), self.prompt)

    @lasting
    def prompt(self, text: str) -> Tensor:
        """Encode a prompt to the states of its tokens, without padding [n, width]; long prompts are cut."""
        if text not in self._encoded:
            states, is_prompt = self._t5(text)
            projected = self._projection(text_hidden_states=states).text_hidden_states[0]
            self._encoded[text] = projected[is_prompt].cpu()
        return self._encoded[text]

    @lasting
    def seconds(self, start: float, end: float) -> Tensor:
        """Embed start and end in seconds, a token each [2, width]."""
        numbers = (torch.tensor([value], device=self._t5.device) for value in (start, end))
        projected = self._projection(None, *numbers)
        return torch.cat(
            [projected.seconds_start_hidden_states[0], projected.seconds_end_hidden_states[0]]
        ).cpu()


def longest(tokenizer: Path, otherwise: int) -> int:
    """Return how many tokens a prompt is padded to, as a tokenizer's folder says, else `otherwise`."""
    tokens = Files(tokenizer, tokenizer).config(TOKENIZER).get("model_max_length")
    return tokens if type(tokens) is int and 0 < tokens < 10**5 else otherwise
