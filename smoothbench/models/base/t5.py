"""The T5 text encoder, which published models encode prompts with."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor
from tqdm import tqdm

from smoothbench.errors import one_line
from smoothbench.models.base.offloaded import Offloaded
from smoothbench.models.weights.diffusers_layout import load_component
from smoothbench.models.weights.locate import Files
from smoothbench.models.weights.read import cast

TOKENIZER: Final = "tokenizer_config.json"


class T5:
    """Encodes prompts by T5 (Raffel et al. 2020, arXiv 1910.10683), frozen, in float32 on the device.

    Between prompts the encoder lies in main memory, so that the device has room for the denoiser; `offloaded` holds it
    on the device for as long as its context lasts. Prompts longer than `tokens` are cut. Raises ValueError, naming the
    file, for files that are damaged or of another model.
    """

    def __init__(self, encoder: Files, tokenizer: Path, tokens: int, device: torch.device) -> None:
        from transformers import AutoTokenizer, T5EncoderModel  # costs do without it

        self.encoder = frozen(load_component(T5EncoderModel, encoder), torch.device("cpu"))
        self.offloaded = Offloaded([self.encoder], device)
        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(tokenizer, local_files_only=True)
        except Exception as error:  # damaged files make parsers raise exceptions of many kinds
            reason = one_line(error)[:200]
            raise ValueError(f"{tokenizer}: no tokenizer ({reason}): download or save it again") from None
        self.tokens, self.device = tokens, device

    def count(self, prompt: str) -> int:
        """Count the tokens of a prompt before it is cut."""
        return len(self.tokenizer(prompt, verbose=False).input_ids)

    def __call__(self, prompt: str) -> tuple[Tensor, Tensor]:
        """Encode one prompt: padded states [1, tokens, width], and which of them are the prompt's, bool [tokens]."""
        padded = self.tokenizer(
            prompt, padding="max_length", max_length=self.tokens, truncation=True, return_tensors="pt"
        ).to(self.device)
        states: Tensor = self.encoder(padded.input_ids, attention_mask=padded.attention_mask)[0]
        return states, padded.attention_mask[0].bool()

    def encode_together(self, prompts: Iterable[str], encode: Callable[[str], object]) -> None:
        """Call `encode` with every prompt while the encoder stays on the device; with none it does not come there."""
        if distinct := list(dict.fromkeys(prompts)):
            with self.offloaded:
                for prompt in tqdm(distinct, "prompts", leave=False, disable=None, delay=2.0):
                    encode(prompt)


def frozen(module: Any, device: torch.device) -> Any:
    """Prepare a module for inference alone: in float32, on the device, without gradients."""
    return cast(module, torch.float32).requires_grad_(False).eval().to(device)
