"""The base class of Open-Sora and its nano twin (hpcaitech/Open-Sora, report 03)."""

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from smoothbench.models.base.guided import Guided
from smoothbench.models.base.prompts import Prompts
from smoothbench.models.opensora.stdit3 import STDiT3
from smoothbench.models.weights.read import cast
from smoothbench.protocols import AnnounceForward


class TextToVideo(Guided):
    """A text-to-video model on STDiT3, guided in one forward.

    It denoises latents [channels, frames, height, width], `shape`, and predicts the velocity at timestep 1000 t, see
    `solvers.rflow`, which takes the model's own `shift`. Guidance rows are [cond, uncond]; the unconditional ones
    see as many tokens of the null caption as the prompt has. Prompts are given by their numbers; -1 is no prompt.
    `config` holds the arguments of STDiT3 that are not its defaults; `fps`, `height` and `width` (pixels) are inputs
    of it. Costs are counted with `tokens` tokens in cross-attention. Raises ValueError for a `shift` that is no
    finite number above 0.
    """

    prediction = "velocity"

    def __init__(
        self,
        prompts: Prompts,
        tokens: int,
        fps: float,
        height: int,
        width: int,
        shift: float,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        if type(shift) not in (int, float) or not 0 < shift < math.inf:
            raise ValueError(f"model.shift must be a finite number above 0, not {shift!r:.60}")
        self.prompts, self.tokens = prompts, tokens
        self.fps, self.height, self.width, self.shift = fps, height, width, shift

    @abstractmethod
    def context(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Return captions [B, 1, L, channels] of prompt numbers, and their masks bool [B, l <= L], true for words.

        l may be the length of the longest prompt, so that nothing is computed on padding that all share. For
        -1 it is the null caption (the denoiser's `y_embedder.y_embedding`), whose mask is true throughout.
        """

    def empty(self) -> nn.Module:
        """Build the denoiser's architecture, whose weights are yet to be loaded."""
        return STDiT3(**self.config).eval().requires_grad_(False)

    def labels_or_prompts(self, seeds: Sequence[int]) -> Tensor:
        """Return the number of each seed's prompt, int64 [N]; see `Prompts.numbers`."""
        return self.prompts.numbers(seeds)

    def unconditional(self, count: int) -> Tensor:
        """Return the number of no prompt, -1, for so many samples, int64 [count]."""
        return torch.full((count,), -1)

    def output(self, x: Tensor, t: float, labels_or_prompts: Tensor) -> Tensor:
        """Return the velocity [B, C, T, H, W] for these prompt numbers, without guidance, in float32."""
        return self._run(self.denoiser, x, t, *self._on_device(*self.context(labels_or_prompts)))

    def conditioning(self, labels_or_prompts: Tensor) -> Any:
        """Return captions [R, 1, L, channels] of all R guidance rows and the prompts' masks [B, l], on the device."""
        captions, mask = self._on_device(*self.context(labels_or_prompts))
        if self.guidance == 1:
            return captions, mask
        null: Any = self.denoiser.get_submodule("y_embedder").y_embedding
        nothing = null[: captions.shape[2]].to(captions).expand_as(captions)
        return torch.cat([captions, nothing]), mask

    def predict(self, x: Tensor, t: float, conditioning: Any, announce: AnnounceForward) -> Tensor:
        """Return the guided velocity [B, C, T, H, W], in float32."""
        announce(0)
        if self.guidance == 1:
            return self._run(self.denoiser, x, t, *conditioning)
        cond, uncond = self._run(self.denoiser, torch.cat([x, x]), t, *conditioning).chunk(2)
        return self.guide(cond, uncond)

    def skeleton(self) -> tuple[nn.Module, Callable[[], Any]]:
        """Return the denoiser on the meta device, and a call that runs one sample's guidance rows through it."""
        with torch.device("meta"):
            denoiser = cast(self.empty(), self.dtype)
            x = torch.empty(self.guidance_rows, *self.sample_shape)
            null: Any = denoiser.get_submodule("y_embedder").y_embedding
            captions = null.expand(self.guidance_rows, 1, -1, -1).contiguous()
            mask = torch.ones(1, self.tokens, dtype=torch.bool)
        return denoiser, lambda: self._run(denoiser, x, 0.0, captions, mask)

    def conditioning_value(self, number: float) -> float:
        """Convert a time, frame rate, height or width to the number that the denoiser gets."""
        return float(number)

    def _on_device(self, captions: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        return captions.to(self.device, self.dtype), mask.to(self.device)

    def _run(self, denoiser: nn.Module, x: Tensor, t: float, captions: Tensor, mask: Tensor) -> Tensor:
        """Run the denoiser once, in its dtype; masks are repeated over the guidance rows."""
        velocity: Tensor = denoiser(
            x.to(self.dtype),
            torch.full((len(x),), self.conditioning_value(t), device=x.device),
            captions,
            mask,
            torch.full((len(x),), self.conditioning_value(self.fps), device=x.device),
            self.conditioning_value(self.height),
            self.conditioning_value(self.width),
        )
        return velocity[:, : self.sample_shape[0]]

    def _identity(self, weights_sha256: str) -> dict[str, Any]:
        """Return everything that decides the samples but solver and schedule; subclasses add the text encoder."""
        inputs = {"fps": self.fps, "height": self.height, "width": self.width}
        shape = {"sample_shape": list(self.sample_shape), "prompts_sha256": self.prompts.digest()}
        return {**super()._identity(weights_sha256), **inputs, **shape}
