"""Stable Audio Open 1.0 with its published weights (Evans et al. 2024, arXiv 2407.14358)."""

import importlib.util
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

import torch
from diffusers import StableAudioDiTModel
from torch import Tensor, nn

from smoothbench.errors import distinct
from smoothbench.media.codecs import Flac, pcm
from smoothbench.models.base.guided import RANDOM_FOR_COST, Lazy, are_random, component_hashes, sha256
from smoothbench.models.base.prompts import Prompts, check_prompts
from smoothbench.models.stable_audio.base import TextToAudio
from smoothbench.models.stable_audio.oobleck import Oobleck, channels, rate_and_hop
from smoothbench.models.stable_audio.text import TOKENIZER, TextEncoder, longest
from smoothbench.models.weights.diffusers_layout import architecture as of_published
from smoothbench.models.weights.locate import CONFIG, TOKENIZER_FILES, Files, download, find
from smoothbench.models.weights.read import fill, lasting, read_state

COUNTS: Final = (
    "sample_size",
    "in_channels",
    "out_channels",
    "num_layers",
    "attention_head_dim",
    "num_attention_heads",
    "num_key_value_attention_heads",
    "cross_attention_dim",
    "time_proj_dim",
    "global_states_input_dim",
    "cross_attention_input_dim",
)
COMPONENTS: Final = ("transformer", "vae", "text_encoder", "projection_model", "tokenizer")
HASHED_FILES: Final = {  # by component: the files that, with its weights, decide samples (not the transformer's)
    **dict.fromkeys(COMPONENTS[1:4], (CONFIG,)),
    "tokenizer": TOKENIZER_FILES,
}
SECONDS: Final = (0, 512)  # the range of the published number embeddings


class StableAudioOpen(Lazy, TextToAudio):
    """The text-to-audio model Stable Audio Open 1.0; it always makes full clips, which are cut to the wanted seconds.

    `path` is a repository in the Hugging Face cache (at `revision`) or a folder in diffusers' layout;
    a folder's config.json comes before `architecture`, its tokenizer before `text_tokens`. Nothing
    is loaded before it is used, and absent weights or prompts are no error: `unavailable_reason` says how to get
    them. Raises ValueError, naming file or setting, for files that do not fit, and for seconds out of the model's
    range, too near together to hold a frame, or longer than its clips; damage inside a file shows at its first use.
    """

    kind = "stable_audio"
    version = 1

    def __init__(
        self,
        name: str,
        path: str,
        architecture: dict[str, Any],
        prompts: Prompts,
        device: torch.device,
        revision: str | None = None,
        weights: str = "published",
        guidance: float = 7.0,
        dtype: str = "float32",
        seconds_start: float = 0.0,
        seconds_end: float = 10.0,
        text_tokens: int = 128,
    ) -> None:
        random = are_random(weights)
        check_prompts(prompts)
        components = {component: _find(path, revision, component) for component in COMPONENTS}
        _check_class(components["transformer"])
        config = of_published(StableAudioDiTModel, components["transformer"], architecture, COUNTS)
        _check_widths(config, components["projection_model"], components["text_encoder"])
        self.components: dict[str, Files | None] = dict.fromkeys(COMPONENTS) if random else components
        tokenizer = components["tokenizer"]
        self.text_tokens = longest(tokenizer.weights.parent, text_tokens) if tokenizer else text_tokens
        super().__init__(
            files=self.components["transformer"],
            unavailable_reason=RANDOM_FOR_COST
            if random
            else _unavailable_reason(name, path, revision, components, prompts),
            dtype=dtype,
            prompts=prompts,
            tokens=self.text_tokens + 2,  # those of the start and of the end
            config=config,
            name=name,
            guidance=guidance,
            device=device,
        )
        self.rate, hop = rate_and_hop(components["vae"], config["in_channels"])
        self.media = Flac(self.rate)
        self.seconds = seconds_start, seconds_end
        _check_seconds(*self.seconds, components["projection_model"], config["sample_size"] * hop / self.rate)
        self.clip_shape = channels(components["vae"]), self._clip_length()

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Everything that decides the samples, for the ids of results; hashing the weights takes seconds, once."""
        conditioning = {"seconds": list(self.seconds), "text_tokens": self.text_tokens}
        return {
            **self._identity(sha256(self.files)),
            **component_hashes(self.components, HASHED_FILES),
            **conditioning,
            "prompts_sha256": self.prompts.digest(),
        }

    def load(self, files: Files) -> nn.Module:
        """Load the denoiser on the device."""
        denoiser = self.allocated()
        fill(denoiser, read_state(files), files.weights)
        return denoiser

    @cached_property
    def decoder(self) -> Oobleck:
        """The audio decoder on the device, loaded at first use; without weights files it has random weights."""
        return Oobleck(self.components["vae"], self.device)

    @cached_property
    @lasting
    def text(self) -> TextEncoder | None:
        """The encoder of prompts and seconds, loaded at first use; None where its weights are not here."""
        encoder, projection, tokenizer = (self.components[component] for component in COMPONENTS[2:])
        if encoder is None or projection is None or tokenizer is None:
            return None
        return TextEncoder(encoder, projection, tokenizer.weights.parent, self.text_tokens, self.device)

    def embed(self, batches: Sequence[Sequence[int]]) -> None:
        """Encode the prompts of these batches of seeds; those that are known are not encoded again."""
        self._embed(self.labels_or_prompts([seed for batch in batches for seed in batch]))

    def _embed(self, numbers: Tensor) -> None:
        if self.text is not None:
            self.text.embed(self.prompts.texts[number] for number in numbers.tolist() if number >= 0)

    def context(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Return the states of prompts, padded with zeros to `text_tokens`, then of seconds; and of seconds alone."""
        width = self.config["cross_attention_input_dim"]
        states = torch.zeros(len(numbers), self.tokens, width)
        overall = torch.zeros(len(numbers), 1, self.config["global_states_input_dim"])
        self._embed(numbers)
        if self.text is not None:
            overall += self._seconds_embedding.flatten()
            for prompt_states, number in zip(states, numbers.tolist(), strict=True):
                if number >= 0:
                    prompt = self.text.prompt(self.prompts.texts[number])
                    prompt_states[: len(prompt)], prompt_states[-2:] = prompt, self._seconds_embedding
        return states.to(self.device), overall.to(self.device)

    @cached_property
    @lasting
    def _seconds_embedding(self) -> Tensor:
        """Embeddings of the start and end seconds [2, width]."""
        assert self.text is not None
        return self.text.seconds(*self.seconds)

    def _clip_length(self) -> int:
        """Frames of a clip; ValueError where the seconds are so near to each other that there is none."""
        start, end = self._frames
        if end <= start:
            raise ValueError(
                f"model.seconds_start={self.seconds[0]}, seconds_end={self.seconds[1]}: not one frame of "
                f"1/{self.rate} s lies between them: take them further apart"
            )
        return end - start

    @property
    def _frames(self) -> tuple[int, int]:
        start, end = (int(second * self.rate) for second in self.seconds)
        return start, end

    def decode(self, x: Tensor) -> Tensor:
        """Decode latents to the wanted seconds, int16 [B, 2, T]."""
        start, end = self._frames
        return pcm(self.decoder(x)[:, :, start:end])


def _find(path: str, revision: str | None, component: str) -> Files | None:
    if component == "tokenizer":
        return find(path, revision, [component], "model.path", TOKENIZER, ("tokenizer.json", "spiece.model"))
    return find(path, revision, [component], "model.path")


def _unavailable_reason(
    name: str, path: str, revision: str | None, components: dict[str, Files | None], prompts: Prompts
) -> str | None:
    """Say in one line which weights or prompts are not here and how to get them; None where all are."""
    if absent := [component for component, files in components.items() if files is None]:
        return download(f"weights of {name} ({absent[0]}) are", path, revision, "model.path")
    if importlib.util.find_spec("transformers") is None:
        return f"the text encoder of {name} needs the package transformers: pip install -e '.[audio]'"
    if not prompts.texts:
        return f"{name} has no prompts: model.prompts.file=FILE (conf/model/{name}.yaml lists the layouts)"
    return None


def _check_class(files: Files | None) -> None:
    if files and (kind := files.config().get("_class_name")) != StableAudioDiTModel.__name__:
        raise ValueError(
            f"{files.folder}: a {kind}, not a {StableAudioDiTModel.__name__}: give another model.path"
        )


def _check_widths(config: dict[str, Any], projection: Files | None, encoder: Files | None) -> None:
    """Raise ValueError where a component does not fit the one before it."""
    if projection is None or encoder is None:
        return
    sizes, width = projection.config(), encoder.config().get("d_model")
    conditioning = sizes.get("conditioning_dim")
    cross_attention, overall = config["cross_attention_input_dim"], config["global_states_input_dim"]
    if (
        width != sizes.get("text_encoder_dim")
        or conditioning != cross_attention
        or type(conditioning) is not int
        or 2 * conditioning != overall
    ):
        raise ValueError(
            f"{projection.folder}: text of width {width} to {conditioning} does not fit a transformer of "
            f"{cross_attention} and {overall}: download or save it again"
        )


def _check_seconds(start: float, end: float, projection: Files | None, canvas: float) -> None:
    config = projection.config() if projection else {}
    least, most = (
        config.get(key, other) for key, other in zip(("min_value", "max_value"), SECONDS, strict=True)
    )
    if not least <= start < end <= most:
        raise ValueError(
            f"model.seconds_start={start}, seconds_end={end}: must rise, and lie in the model's {least} to {most} s"
        )
    if end > canvas:
        most = distinct(end, canvas, digits=2)[1]
        raise ValueError(f"model.seconds_end={end}: the model's canvas ends at {most} s")
