"""What Stable Audio Open is told: prompts through T5, seconds through number embeddings."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from smoothbench.errors import one_line
from smoothbench.models.published import load_published
from smoothbench.models.tensors import cast, lasting
from smoothbench.models.weights import Files

TOKENIZER = "tokenizer_config.json"


class TextEncoder:
    """Prompts and seconds as the transformer sees them, in float32 on the CPU.

    Prompts are encoded one by one, so that none depends on its batch, and each once. Raises ValueError,
    naming the file, for parts that are damaged or of another model.
    """

    def __init__(
        self, encoder: Files, projection: Files, tokenizer: Path, tokens: int, device: torch.device
    ) -> None:
        from diffusers import StableAudioProjectionModel  # these need transformers, which costs do not
        from transformers import AutoTokenizer, T5EncoderModel

        self._encoder: Any = _frozen(load_published(T5EncoderModel, encoder), device)
        loaded = load_published(StableAudioProjectionModel, projection, low_cpu_mem_usage=False)
        self._projection: Any = _frozen(loaded, device)
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(tokenizer, local_files_only=True)
        except Exception as error:  # whatever damaged files make of a parser
            reason = one_line(error)[:200]
            raise ValueError(f"{tokenizer}: no tokenizer ({reason}): download or save it again") from None
        self._tokens, self._device = tokens, device
        self._known: dict[str, Tensor] = {}

    @lasting
    def prompt(self, text: str) -> Tensor:
        """The tokens of a prompt, without padding [n, width]; what is too long is cut."""
        if text not in self._known:
            asked = self._tokenizer(
                text, padding="max_length", max_length=self._tokens, truncation=True, return_tensors="pt"
            ).to(self._device)
            hidden = self._encoder(asked.input_ids, attention_mask=asked.attention_mask)[0]
            seen = self._projection(text_hidden_states=hidden).text_hidden_states[0]
            self._known[text] = seen[asked.attention_mask[0].bool()].cpu()
        return self._known[text]

    @lasting
    def seconds(self, start: float, end: float) -> Tensor:
        """Start and end, a token each [2, width]."""
        numbers = (torch.tensor([value], device=self._device) for value in (start, end))
        found = self._projection(None, *numbers)
        return torch.cat([found.seconds_start_hidden_states[0], found.seconds_end_hidden_states[0]]).cpu()


def longest(tokenizer: Path, otherwise: int) -> int:
    """How many tokens a prompt is padded to, as a tokenizer's folder says."""
    found = Files(tokenizer, tokenizer).config(TOKENIZER).get("model_max_length")
    return found if type(found) is int and 0 < found < 10**5 else otherwise


def _frozen(module: Any, device: torch.device) -> Any:
    return cast(module, torch.float32).requires_grad_(False).eval().to(device)
