"""The embedded class-conditional image model `dit_nano`: a diffusion transformer on the pixels of Fashion-MNIST."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from smoothbench.models.base.class_conditional import ClassConditional
from smoothbench.models.dit.architecture import empty_dit, run_dit, shape_of
from smoothbench.models.weights.locate import CONFIG, Files
from smoothbench.models.weights.read import fill, read_state

WEIGHTS = "diffusion_pytorch_model.safetensors"


class PixelDiT(ClassConditional):
    """A DiT that works on pixels in [-1, 1], with classifier-free guidance in one forward.

    `path` is a folder in diffusers' layout (config.json and safetensors); a relative one is looked
    up beside this file. Raises ValueError, naming the file, for weights that are missing, truncated
    or of another model.
    """

    kind = "pixel_dit"
    version = 1

    def __init__(self, name: str, path: str, guidance: float, device: torch.device) -> None:
        files = _files(Path(__file__).parent / path)
        config = files.config()
        super().__init__(name, config, shape_of(config), config["num_embeds_ada_norm"], guidance, device)
        self.denoiser = self.empty()
        fill(self.denoiser, read_state(files), files.weights)
        self.denoiser.to(device)
        self.identity = self._identity(files.sha256())

    def empty(self) -> nn.Module:
        """Build the denoiser's architecture, whose weights are yet to be loaded."""
        return empty_dit(self.config)

    def run(self, denoiser: nn.Module, x: Tensor, t: float, labels: Tensor) -> Tensor:
        """Run the DiT once; see `run_dit`."""
        return run_dit(denoiser, x, t, labels)

    def labels_or_prompts(self, seeds: Sequence[int]) -> Tensor:
        """Return the class label of each seed, its number modulo the number of classes, int64 [N]."""
        return torch.tensor(seeds) % self.classes

    def decode(self, x: Tensor) -> Tensor:
        """Convert samples in [-1, 1] to pixels uint8 [B, C, H, W] on the CPU."""
        return ((x.clamp(-1, 1) + 1) * 127.5).round().to("cpu", torch.uint8)


def _files(folder: Path) -> Files:
    for path in (folder / CONFIG, folder / WEIGHTS):
        if not path.is_file():
            raise ValueError(
                f"weights {path}: no such file; model.path must be a folder with {CONFIG} and {WEIGHTS}"
            )
    return Files(folder / WEIGHTS, folder)
