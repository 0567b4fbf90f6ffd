"""What Open-Sora 1.2 is told: prompts with scores appended, cleaned, through T5."""

import html
import importlib.util
import logging
from pathlib import Path
from types import FunctionType
from typing import Any, Final

import torch
from torch import Tensor

from smoothbench.errors import one_line
from smoothbench.models.published import load_published
from smoothbench.models.tensors import cast, lasting
from smoothbench.models.weights import NAMES, Files, find

log = logging.getLogger(__name__)

TOKENIZER: Final = "tokenizer_config.json"
NEEDED: Final = {"transformers": "transformers", "ftfy": "ftfy", "bs4": "beautifulsoup4"}  # modules, packages
FOR_PIECES: Final = {"sentencepiece": "sentencepiece", "google.protobuf": "protobuf"}  # to read spiece.model
READY_MADE: Final = "tokenizer.json"  # a tokenizer that needs neither


class TextEncoder:
    """Prompts as the transformer sees them, in float32 on the CPU.

    Prompts are encoded one by one, so that none depends on its batch, and each once. What is longer than
    `tokens` is cut, with a warning that names the prompt. Raises ValueError, naming the file, for parts that are
    damaged.
    """

    def __init__(self, encoder: Files, tokenizer: Path, tokens: int, device: torch.device) -> None:
        from transformers import AutoTokenizer, T5EncoderModel  # costs do without it

        loaded: Any = load_published(T5EncoderModel, encoder)
        self._encoder: Any = cast(loaded, torch.float32).requires_grad_(False).eval().to(device)
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(tokenizer, local_files_only=True)
        except Exception as error:  # whatever damaged files make of a parser
            reason = one_line(error)[:200]
            raise ValueError(f"{tokenizer}: no tokenizer ({reason}): download or save it again") from None
        self._tokens, self._device = tokens, device
        self._known: dict[str, Tensor] = {}

    @lasting
    def __call__(self, prompt: str) -> Tensor:
        """The tokens of a cleaned prompt, without padding [n, width]."""
        if prompt not in self._known:
            self._warn(prompt)
            asked = self._tokenizer(
                prompt, padding="max_length", max_length=self._tokens, truncation=True, return_tensors="pt"
            ).to(self._device)
            hidden = self._encoder(asked.input_ids, attention_mask=asked.attention_mask)[0][0]
            self._known[prompt] = hidden[asked.attention_mask[0].bool()].cpu()
        return self._known[prompt]

    def _warn(self, prompt: str) -> None:
        count = len(self._tokenizer(prompt, verbose=False).input_ids)
        if count > self._tokens:
            log.warning("prompt %r has %d tokens: cut to %d", _short(prompt), count, self._tokens)


def assembled(prompt: str, aes: float | None, flow: float | None, camera: str | None) -> str:
    """A prompt with the scores that it does not name itself, in the words of Open-Sora 1.2's inference, cleaned.

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
    """The text as the model was trained on it: two passes; ValueError where their packages are not here.

    A pass is PixArt-alpha's, as diffusers has it, but for one strip that diffusers leaves out: the original strips
    once HTML's entities are decoded, so that the rules for a text's start and end, which follow, see no blank there.
    """
    if lacks := lacking():
        raise ValueError(lacks)
    from diffusers import PixArtAlphaPipeline

    routine: Any = PixArtAlphaPipeline._clean_caption
    once = FunctionType(routine.__code__, {**routine.__globals__, "html": _Entities})
    return str(
        once(PixArtAlphaPipeline, once(PixArtAlphaPipeline, text))
    )  # it needs no pipeline's components


class _Entities:
    """What stands in for the module `html` in diffusers' cleaning, which decodes by it just before that strip."""

    @staticmethod
    def unescape(text: str) -> str:
        return html.unescape(text).strip()


def lacking(tokenizer: Files | None = None) -> str | None:
    """One line on the packages that prompts need, with this tokenizer, and that are not here."""
    pieces = tokenizer is not None and tokenizer.weights.name != READY_MADE
    needed = {**NEEDED, **FOR_PIECES} if pieces else NEEDED
    absent = [package for module, package in needed.items() if not _importable(module)]
    if not absent:
        return None
    return f"Open-Sora's prompts need the package {absent[0]}: pip install -e '.[video]'"


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # not even what it lies in
        return False


def find_text(source: str, revision: str | None) -> tuple[Files | None, Files | None]:
    """The text encoder and its tokenizer, in diffusers' folders or both at the top; None where not here.

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
