"""The base class of Stable Audio and its nano twin (Evans et al. 2024, arXiv 2407.14358)."""

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import torch
from diffusers import StableAudioDiTModel
from diffusers.models.embeddings import get_1d_rotary_pos_embed
from torch import Tensor, nn

from smoothbench.models.base.guided import Guided
from smoothbench.models.base.prompts import Prompts
from smoothbench.models.weights.read import cast, lasting
from smoothbench.protocols import AnnounceForward


class TextToAudio(Guided):
    """A text-to-audio model on diffusers' Stable Audio transformer, guided in one forward.

    It denoises latents [channels, frames] and predicts v at the noise level t = sigma, see
    `solvers.dpmpp_3m_sde`. Guidance rows are [uncond, cond]. Prompts are given by their numbers; -1 is no prompt:
    then the inputs of cross-attention are zero, those of text and of seconds, while the global states are the same
    as with a prompt. `tokens` is the number of tokens in cross-attention. `clip_shape` are the channels and frames
    of decoded clips.
    """

    prediction = "v"
    clip_shape: tuple[int, int]

    def __init__(self, prompts: Prompts, tokens: int, config: dict[str, Any], **more: Any) -> None:
        shape = (config["in_channels"], config["sample_size"])
        super().__init__(config=config, shape=shape, **more)
        self.prompts, self.tokens = prompts, tokens

    @abstractmethod
    def context(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Return the states for cross-attention [B, tokens, width] and the global states [B, 1, width]."""

    def empty(self) -> nn.Module:
        """Build the denoiser's architecture, whose weights are yet to be loaded."""
        return StableAudioDiTModel.from_config(self.config).eval().requires_grad_(False)

    def labels_or_prompts(self, seeds: Sequence[int]) -> Tensor:
        """Return the number of each seed's prompt, int64 [N]; see `Prompts.numbers`."""
        return self.prompts.numbers(seeds)

    def unconditional(self, count: int) -> Tensor:
        """Return the number of no prompt, -1, for so many samples, int64 [count]."""
        return torch.full((count,), -1)

    def output(self, x: Tensor, t: float, labels_or_prompts: Tensor) -> Tensor:
        """Return the v-prediction [B, C, T] for these prompt numbers, without guidance, in float32."""
        return self._v(x, t, *self._on_device(*self.context(labels_or_prompts)))

    def conditioning(self, labels_or_prompts: Tensor) -> Any:
        """Return the states of all guidance rows [R, tokens, width] and global ones [R, 1, width], on the device."""
        states, overall = self.context(labels_or_prompts)
        if self.guidance != 1:
            states = torch.cat([torch.zeros_like(states), states])
            overall = torch.cat([overall, overall])
        return self._on_device(states, overall)

    def predict(self, x: Tensor, t: float, conditioning: Any, announce: AnnounceForward) -> Tensor:
        """Return the guided v-prediction [B, C, T], in float32."""
        announce(0)
        if self.guidance == 1:
            return self._v(x, t, *conditioning)
        uncond, cond = self._v(torch.cat([x, x]), t, *conditioning).chunk(2)
        return self.guide(cond, uncond)

    def skeleton(self) -> tuple[nn.Module, Callable[[], Any]]:
        """Return the denoiser on the meta device, and a call that runs one sample's guidance rows through it."""
        rows, config = self.guidance_rows, self.config
        with torch.device("meta"):
            denoiser = cast(self.empty(), self.dtype)
            x = torch.empty(rows, *self.sample_shape)
            states = torch.empty(rows, self.tokens, config["cross_attention_input_dim"], dtype=self.dtype)
            overall = torch.empty(rows, 1, config["global_states_input_dim"], dtype=self.dtype)
            rotary = self._positions()
        # torch multiplies what is transposed, as here, by bmm, which counters take for attention's
        denoiser.get_submodule("proj_in").register_forward_pre_hook(lambda _, args: (args[0].contiguous(),))
        return denoiser, lambda: self._run(denoiser, x, 0.0, states, overall, rotary)

    def _on_device(self, states: Tensor, overall: Tensor) -> tuple[Tensor, Tensor]:
        return states.to(self.device, self.dtype), overall.to(self.device, self.dtype)

    def _v(self, x: Tensor, t: float, states: Tensor, overall: Tensor) -> Tensor:
        return self._run(self.denoiser, x, t, states, overall, self._rotary).float()

    def _run(
        self,
        denoiser: nn.Module,
        x: Tensor,
        sigma: float,
        states: Tensor,
        overall: Tensor,
        rotary: tuple[Tensor, Tensor],
    ) -> Tensor:
        """One forward, in the dtype of the denoiser; its time is the angle of v, in units of pi / 2."""
        time = torch.full((len(x),), math.atan(sigma) * 2 / math.pi, device=x.device, dtype=self.dtype)
        v: Tensor = denoiser(
            x.to(self.dtype),
            time,
            encoder_hidden_states=states,
            global_hidden_states=overall,
            rotary_embedding=rotary,
            return_dict=False,
        )[0]
        return v

    @cached_property
    @lasting
    def _rotary(self) -> tuple[Tensor, Tensor]:
        cos, sin = self._positions()
        return cos.to(self.device), sin.to(self.device)

    def _positions(self) -> tuple[Tensor, Tensor]:
        """Rotary positions of the global token and the frames, on half of each head."""
        half, tokens = self.config["attention_head_dim"] // 2, self.config["sample_size"] + 1
        cos, sin = get_1d_rotary_pos_embed(half, tokens, use_real=True, repeat_interleave_real=False)
        return cos, sin
