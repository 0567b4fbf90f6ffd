"""The base class of class-conditional image models: the null class, guidance rows, the denoiser's costs."""

from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from smoothbench.media.codecs import Png
from smoothbench.models.base.guided import Guided
from smoothbench.models.weights.read import cast
from smoothbench.protocols import AnnounceForward


class ClassConditional(Guided):
    """An image model with class labels and guidance in one forward (Ho and Salimans 2022, arXiv 2207.12598).

    Guidance rows are [cond, uncond]; the null class is the last one. A guidance of 1 runs the
    conditional rows alone. Raises ValueError for a guidance that is no number.
    """

    media = Png()
    prediction = "noise"

    def __init__(
        self,
        name: str,
        config: dict[str, Any],
        shape: tuple[int, ...],
        classes: int,
        guidance: float,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(name, config, shape, guidance, device, dtype)
        self.classes = classes

    @abstractmethod
    def run(self, denoiser: nn.Module, x: Tensor, t: float, labels: Tensor) -> Tensor:
        """Run the denoiser once and return its whole output [B, C or 2 C, H, W], in its dtype, the noise first."""

    def unconditional(self, count: int) -> Tensor:
        """Return the label of the null class for so many samples, int64 [count]."""
        return torch.full((count,), self.classes)

    def output(self, x: Tensor, t: float, labels_or_prompts: Tensor) -> Tensor:
        """Return the denoiser's whole output for these class labels [B], without guidance, in float32."""
        return self._rows(self.denoiser, x, t, labels_or_prompts.to(x.device)).float()

    def noise(self, x: Tensor, t: float, labels_or_prompts: Tensor) -> Tensor:
        """Return the predicted noise [B, C, H, W] alone; no solver here uses a learned variance."""
        return self.output(x, t, labels_or_prompts)[:, : x.shape[1]]

    def conditioning(self, labels_or_prompts: Tensor) -> Any:
        """Return the class labels of all guidance rows on the device, int64 [2 B], without guidance [B]."""
        if self.guidance == 1:
            return labels_or_prompts.to(self.device)
        return torch.cat([labels_or_prompts, self.unconditional(len(labels_or_prompts))]).to(self.device)

    def predict(self, x: Tensor, t: float, conditioning: Any, announce: AnnounceForward) -> Tensor:
        """Return the guided noise prediction [B, C, H, W], in float32."""
        announce(0)
        if self.guidance == 1:
            return self.noise(x, t, conditioning)
        return self.guide(*self.noise(torch.cat([x, x]), t, conditioning).chunk(2))

    def skeleton(self) -> tuple[nn.Module, Callable[[], Any]]:
        """Return the denoiser on the meta device, and a call that runs one sample's guidance rows through it."""
        with torch.device("meta"):
            denoiser = cast(self.empty(), self.dtype)
            x, labels = (
                torch.empty(self.guidance_rows, *self.sample_shape),
                torch.empty(self.guidance_rows, dtype=torch.long),
            )
        return denoiser, partial(self._rows, denoiser, x, 0.0, labels)

    def _rows(self, denoiser: nn.Module, x: Tensor, t: float, labels: Tensor) -> Tensor:
        return self.run(denoiser, x.to(self.dtype), t, labels)
