"""Open-Sora 1.2 with its published weights (Zheng et al. 2024, arXiv 2412.20404, and the repository's report 03)."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final

import torch
from torch import Tensor, nn

from smoothbench.caching.cost import Macs
from smoothbench.media.codecs import Webp
from smoothbench.models.base.guided import (
    DTYPES,
    RANDOM_FOR_COST,
    REFERENCE,
    Lazy,
    are_random,
    check_numerics,
    component_hashes,
    sha256,
)
from smoothbench.models.base.prompts import Prompts, check_prompts
from smoothbench.models.opensora import vae
from smoothbench.models.opensora.architecture import check_names
from smoothbench.models.opensora.base import TextToVideo
from smoothbench.models.opensora.components import checked_config, find_components, unavailable_reason
from smoothbench.models.opensora.costs import pipeline
from smoothbench.models.opensora.sizes import Size, size_of, timestep_shift
from smoothbench.models.opensora.text import TextEncoder, assembled
from smoothbench.models.weights.locate import CONFIG, TOKENIZER_FILES, Files
from smoothbench.models.weights.read import fill, lasting, read_state

EXACT: Final = "exact"
HASHED_FILES: Final = {  # by component: the files that, with its weights, decide samples (not the transformer's)
    "vae": (CONFIG,),
    "text_encoder": (CONFIG,),
    "tokenizer": TOKENIZER_FILES,
}


class OpenSora(Lazy, TextToVideo):
    """The text-to-video model Open-Sora 1.2 with its published weights.

    `path`, `vae` and `text` are repositories in the Hugging Face cache or folders in the published layouts;
    a folder's config.json comes before `architecture`. `resolution`, `aspect_ratio` and `length` are names in
    `sizes`, and `shift` must be the one that follows from them. `aes`, `flow` and `camera` are appended to prompts
    that do not contain them; null: nothing. Costs are counted for a prompt of `tokens` tokens.

    `numerics`: with `reference` the denoiser's inputs of time, frame rate and size, and the frequencies of its
    positions, are rounded to `dtype`, as the original does, also in training: in bfloat16 time 950.9 becomes
    952, which changes a tenth to a quarter of the output while noise is strong. With `exact` they are float32.

    Nothing is loaded before it is used, and absent weights or prompts are no error: `unavailable_reason` says how to
    get them. Raises ValueError, naming file or setting, for files that do not fit; damage inside a file shows at its
    first use.
    """

    kind = "opensora"
    version = 2  # version 1 cleaned prompts with one strip less

    def __init__(
        self,
        name: str,
        path: str,
        vae: str,
        text: str,
        architecture: dict[str, Any],
        prompts: Prompts,
        device: torch.device,
        shift: float,
        weights: str = "published",
        guidance: float = 7.0,
        dtype: str = "float32",
        numerics: str = REFERENCE,
        resolution: str = "480p",
        aspect_ratio: str = "9:16",
        length: str = "2s",
        fps: float = 24.0,
        aes: float | None = 6.5,
        flow: float | None = None,
        camera: str | None = None,
        tokens: int = 67,
    ) -> None:
        random = are_random(weights)
        check_prompts(prompts)
        self.sources = {"path": path, "vae": vae, "text": text}
        self.local_files = components = find_components(path, vae, text)
        config = checked_config(components, architecture, tokens)
        self._rounding = _rounding(numerics, dtype)
        self.size = size = _size(resolution, aspect_ratio, length, shift, self._rounding)
        self.components: dict[str, Files | None] = dict.fromkeys(components) if random else components
        reason = RANDOM_FOR_COST if random else unavailable_reason(name, self.sources, components, prompts)
        super().__init__(
            files=self.components["transformer"],
            unavailable_reason=reason,
            dtype=dtype,
            prompts=prompts,
            tokens=tokens,
            fps=_rate(fps),
            height=size.height,
            width=size.width,
            shift=shift,
            config=config,
            shape=(config["in_channels"], *size.latent),
            name=name,
            guidance=guidance,
            device=device,
        )
        self.media = Webp(fps)
        self.appended: dict[str, Any] = {"aes": aes, "flow": flow, "camera": camera}

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Everything that decides the samples, for the ids of results; hashing the weights takes seconds, once."""
        clip = {"frames": self.size.frames, "model_numerics": REFERENCE if self._rounding else EXACT}
        return {
            **self._identity(sha256(self.files)),
            **component_hashes(self.components, HASHED_FILES),
            **self.appended,
            **clip,
        }

    def conditioning_value(self, number: float) -> float:
        """Convert a time, frame rate, height or width to the number that the denoiser gets."""
        return torch.tensor(number, dtype=self._rounding or torch.float64, device="cpu").item()

    def load(self, files: Files) -> nn.Module:
        """Load the denoiser on the device; ValueError, naming the file, for weights of another version."""
        denoiser, state = self.allocated(), read_state(files)
        check_names(state, files.weights)
        fill(denoiser, state, files.weights)
        return denoiser

    def after_load(self, denoiser: nn.Module) -> None:
        """Set the numerics and, without weights, a null caption of zeros, which random weights do not include."""
        denoiser.position_dtype = self._rounding or torch.float32  # type: ignore[assignment]
        if self.files is None:
            nn.init.zeros_(denoiser.get_buffer("y_embedder.y_embedding"))

    @cached_property
    def decoder(self) -> vae.VideoDecoder:
        """The video decoder on the device, loaded at first use; without weights files it has random weights."""
        return vae.VideoDecoder(self.components["vae"], self.size.frames, self.device)

    @cached_property
    @lasting
    def text(self) -> TextEncoder | None:
        """The encoder of prompts, loaded at first use; None where its weights are not here."""
        encoder, tokenizer = self.components["text_encoder"], self.components["tokenizer"]
        if encoder is None or tokenizer is None:
            return None
        return TextEncoder(encoder, tokenizer.weights.parent, self.config["model_max_length"], self.device)

    @cached_property
    def pipeline(self) -> Mapping[str, Macs]:
        """MACs per sample of what runs beside the denoiser, text encoder and decoders, counted without any weights."""
        tokens = self.config["model_max_length"]
        return pipeline(
            self.local_files["vae"], self.local_files["text_encoder"], self.size, self.sample_shape, tokens
        )

    def embed(self, batches: Sequence[Sequence[int]]) -> None:
        """Encode the prompts of these batches of seeds; those that are known are not encoded again."""
        self._embed(self.labels_or_prompts([seed for batch in batches for seed in batch]))

    def _embed(self, numbers: Tensor) -> None:
        if self.text is not None:
            self.text.embed(self._cleaned(number) for number in numbers.tolist() if number >= 0)

    def context(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Return captions [B, 1, model_max_length, channels], zero past their words, and their masks."""
        self._embed(numbers)
        states = [self._caption(number) for number in numbers.tolist()]
        captions = torch.zeros(
            len(states), 1, self.config["model_max_length"], self.config["caption_channels"]
        )
        mask = torch.zeros(len(states), max(map(len, states)), dtype=torch.bool)
        for caption, words, encoded in zip(captions, mask, states, strict=True):
            caption[0, : len(encoded)], words[: len(encoded)] = encoded, True
        return captions.to(self.device), mask.to(self.device)

    def _caption(self, number: int) -> Tensor:
        if number < 0:
            return self.denoiser.get_buffer("y_embedder.y_embedding").float().cpu()
        if self.text is None:
            return torch.zeros(self.tokens, self.config["caption_channels"])
        return self.text(self._cleaned(number))

    @cached_property
    def _texts(self) -> dict[int, str]:
        """Cleaned prompts by number, as cleaning one takes a millisecond."""
        return {}

    def _cleaned(self, number: int) -> str:
        """The text of a prompt as it goes to the text encoder."""
        if number not in self._texts:
            self._texts[number] = assembled(self.prompts.texts[number], **self.appended)
        return self._texts[number]

    def decode(self, x: Tensor) -> Tensor:
        """Decode latents to clips uint8 [B, T, 3, H, W], as high and wide as whole latents make them."""
        return self.decoder(x)


def _rounding(numerics: str, dtype: str) -> torch.dtype | None:
    """The dtype that the denoiser's inputs of time, frame rate and size are rounded to; None: they are not rounded."""
    check_numerics(numerics, EXACT)
    return DTYPES.get(dtype) if numerics == REFERENCE and dtype != "float32" else None


def _size(
    resolution: str, aspect_ratio: str, length: str, shift: float, rounding: torch.dtype | None
) -> Size:
    """The size of these names; ValueError unless `shift` is its own, exact or as the original's bfloat16 rounds it."""
    size = size_of(resolution, aspect_ratio, length)
    # in float16 the original's is no number
    dtypes = [*([rounding] if rounding == torch.bfloat16 else []), torch.float64]
    shifts = [timestep_shift(size.height, size.width, size.frames, dtype) for dtype in dtypes]
    # NaN is near to nothing
    if type(shift) not in (int, float) or not any(abs(shift - each) <= 1e-6 * each for each in shifts):
        raise ValueError(
            f"model.shift={shift}: a clip of this resolution and length takes model.shift={shifts[0]!r} "
            "(solver.shift=... tries another)"
        )
    return size


def _rate(fps: float) -> float:
    if type(fps) not in (int, float) or not 0 < fps <= 240:
        raise ValueError(f"model.fps={fps}: must be a number of frames a second, up to 240")
    return float(fps)
