"""The text conditioning of Open-Sora 1.2: prompts with scores appended, cleaned, through T5."""

import html
import importlib.util
import logging
from collections.abc import Iterable
from pathlib import Path
from types import FunctionType
from typing import Any, Final

import torch
from torch import Tensor

from smoothbench.models.base.t5 import T5, TOKENIZER
from smoothbench.models.weights.locate import NAMES, Files, find
from smoothbench.models.weights.read import lasting

log = logging.getLogger(__name__)

NEEDED: Final = {"transformers": "transformers", "ftfy": "ftfy", "bs4": "beautifulsoup4"}  # modules, packages
FOR_PIECES: Final = {"sentencepiece": "sentencepiece", "google.protobuf": "protobuf"}  # to read spiece.model
READY_MADE: Final = "tokenizer.json"  # a tokenizer that needs neither


class TextEncoder:
    """Encodes prompts for the transformer, in float32 on the CPU.

    Each prompt is encoded once and by itself, so that it does not depend on its batch. Prompts longer than `tokens`
    are cut, with a warning that names them. Raises ValueError, naming the file, for damaged files.
    """

    def __init__(self, encoder: Files, tokenizer: Path, tokens: int, device: torch.device) -> None:
        self._t5 = T5(encoder, tokenizer, tokens, device)
        self._encoded: dict[str, Tensor] = {}

    def embed(self, prompts: Iterable[str]) -> None:
        """Encode the cleaned prompts that are not known yet, with the encoder on the device for no longer than that."""
        self._t5.encode_together((prompt for prompt in prompts if prompt not in self._encoded), self)

    @lasting
    def __call__(self, prompt: str) -> Tensor:
        """Encode a cleaned prompt to states of its tokens, without padding [n, width]."""
        if prompt not in self._encoded:
            self._warn_if_cut(prompt)
            states, is_prompt = self._t5(prompt)
            self._encoded[prompt] = states[0][is_prompt].cpu()
        return self._encoded[prompt]

    def _warn_if_cut(self, prompt: str) -> None:
        if (count := self._t5.count(prompt)) > self._t5.tokens:
            log.warning("prompt %r has %d tokens: cut to %d", _short(prompt), count, self._t5.tokens)


def assembled(prompt: str, aes: float | None, flow: float | None, camera: str | None) -> str:
    """Append the scores that a prompt does not contain, in the words of Open-Sora 1.2's inference code, and clean it.

    Raises ValueError where the packages for cleaning are not here.
    """
    if aes is not None and "aesthetic score:" not in prompt:
        prompt += f" aesthetic score: {aes:.1f}."
    if flow is not None and "motion score:" not in prompt:
        prompt += f" motion score: {flow:.1f}."
    if camera is not None and "camera motion:" not in prompt:
        prompt += f" camera motion: {camera}."
    return cleaned(prompt)


def cleaned(text: str) -> str:
    """Clean a text in two passes, as the training's was; ValueError where the packages for that are not here.

    A pass is PixArt-alpha's, as diffusers has it, but for one strip that diffusers leaves out: the original strips
    once HTML's entities are decoded, so that the rules for a text's start and end, which follow, see no blank there.
    """
    if reason := lacking():
        raise ValueError(reason)
    from diffusers import PixArtAlphaPipeline

    routine: Any = PixArtAlphaPipeline._clean_caption
    once = FunctionType(routine.__code__, {**routine.__globals__, "html": _Entities})
    # it needs no pipeline's components
    return str(once(PixArtAlphaPipeline, once(PixArtAlphaPipeline, text)))


class _Entities:
    """Replaces the module `html` in diffusers' cleaning code, to strip where it decodes entities."""

    @staticmethod
    def unescape(text: str) -> str:
        return html.unescape(text).strip()


def lacking(tokenizer: Files | None = None) -> str | None:
    """Say in one line which package for prompts and this tokenizer is not installed; None where all are."""
    pieces = tokenizer is not None and tokenizer.weights.name != READY_MADE
    needed = {**NEEDED, **FOR_PIECES} if pieces else NEEDED
    absent = [package for module, package in needed.items() if not _importable(module)]
    if not absent:
        return None
    return f"Open-Sora's prompts need the package {absent[0]}: pip install -e '.[video]'"


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # its parent package does not exist either
        return False


def find_text(source: str, revision: str | None) -> tuple[Files | None, Files | None]:
    """Find the text encoder and its tokenizer, in diffusers' folders or both at the top; None for one that is not here.

    Raises ValueError for a folder or a repository without them, and for an encoder that is no T5.
    """
    encoder = find(source, revision, ["text_encoder", ""], "model.text", names=NAMES[2:])
    names = (READY_MADE, "spiece.model")
    tokenizer = find(source, revision, ["tokenizer", ""], "model.text", TOKENIZER, names)
    if encoder and (kind := encoder.config().get("model_type")) != "t5":
        raise ValueError(f"{encoder.folder}: a {kind}, not a T5 encoder: set model.text")
    return encoder, tokenizer


def _short(prompt: str) -> str:
    return prompt if len(prompt) <= 80 else f"{prompt[:77]}..."
