"""Published diffusion transformers on latents: DiT-XL/2 and its like (Peebles and Xie 2023)."""

from functools import cached_property
from pathlib import Path
from typing import Any, Final

import torch
from diffusers import DiTTransformer2DModel
from torch import Tensor, nn

from smoothbench.models.base.guided import RANDOM_FOR_COST, REFERENCE, are_random, check_numerics
from smoothbench.models.base.image_decoder import REPOSITORY, find_decoder
from smoothbench.models.base.latent import LatentModel
from smoothbench.models.dit.architecture import empty_dit, run_dit, shape_of
from smoothbench.models.dit.numerics import DIFFUSERS, as_original, guided, pixels
from smoothbench.models.dit.original_checkpoint import is_original, to_diffusers
from smoothbench.models.weights.diffusers_layout import architecture as of_published
from smoothbench.models.weights.diffusers_layout import place
from smoothbench.models.weights.locate import Files, checkpoint, download, find
from smoothbench.models.weights.read import fill, read_state

CLASSES = ("DiTTransformer2DModel", "Transformer2DModel")  # the second is the former name of the first
COUNTS: Final = (
    "num_attention_heads",
    "attention_head_dim",
    "num_layers",
    "in_channels",
    "out_channels",
    "sample_size",
    "patch_size",
    "num_embeds_ada_norm",
)


class LatentDiT(LatentModel):
    """A DiT on latents, guided in one forward, with the rows [cond, uncond].

    `path` is a repository in the Hugging Face cache (at `revision`), a folder in diffusers' layout, or
    a checkpoint of the original implementation (a file); null: there are no weights. `vae`: a folder or
    repository; null: the one beside the transformer, for a checkpoint stabilityai/sd-vae-ft-ema.
    `numerics`: `reference` computes as the original implementation does, `diffusers` as diffusers does. A
    folder's config.json comes before `architecture`. Nothing is loaded before it is used, and absent weights
    are no error: `unavailable_reason` says how to get them. Raises ValueError, naming file or
    setting, for files that do not fit; damage inside a file shows at the first use of
    `denoiser` or `decoder`.
    """

    kind = "latent_dit"
    version = 1

    def __init__(
        self,
        name: str,
        path: str | None,
        architecture: dict[str, Any],
        device: torch.device,
        revision: str | None = None,
        vae: str | None = None,
        weights: str = "published",
        numerics: str = REFERENCE,
        guidance: float = 1.5,
        dtype: str = "float32",
    ) -> None:
        check_numerics(numerics, DIFFUSERS)
        random = are_random(weights)
        self.numerics = numerics
        files = _transformer(path, revision)
        checkpoint = path is None or Path(path).is_file()
        decoder = find_decoder(vae, None if checkpoint else path, revision)
        config = _architecture(files, architecture)
        reason = _unavailable_reason(name, path, revision, vae, files, decoder)
        super().__init__(
            files=None if random else files,
            decoder_files=decoder,
            unavailable_reason=RANDOM_FOR_COST if random else reason,
            dtype=dtype,
            name=name,
            config=config,
            shape=shape_of(config),
            classes=config["num_embeds_ada_norm"],
            guidance=guidance,
            device=device,
        )

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Everything that decides the samples, for the ids of results; hashing the weights takes seconds, once."""
        return {**self._latent_identity(), "model_numerics": self.numerics}

    def empty(self) -> nn.Module:
        """Build the denoiser's architecture, whose weights are yet to be loaded."""
        return empty_dit(self.config)

    def load(self, files: Files) -> nn.Module:
        """Load the denoiser on the device, from diffusers' or the original's files."""
        state, denoiser = read_state(files), self.allocated()
        if is_original(state):
            try:
                state = to_diffusers(state, self._positions())
            except ValueError as error:
                raise ValueError(f"weights {files.weights}: damaged or of another model ({error})") from None
        fill(denoiser, state, files.weights)
        return denoiser

    def after_load(self, denoiser: nn.Module) -> None:
        """Set the numerics, and the fixed positions, which diffusers' checkpoints lack and which stay float32."""
        denoiser.pos_embed.pos_embed = self._positions().to(self.device)  # type: ignore[union-attr]
        if self.numerics == REFERENCE:
            as_original(denoiser)

    def _positions(self) -> Tensor:
        """The fixed positions [1, tokens, width], from a DiT without blocks."""
        return empty_dit({**self.config, "num_layers": 0}).pos_embed.pos_embed  # type: ignore[return-value, union-attr]

    def run(self, denoiser: nn.Module, x: Tensor, t: float, labels: Tensor) -> Tensor:
        """Run the DiT once; see `run_dit`."""
        return run_dit(denoiser, x, t, labels)

    def guide(self, cond: Tensor, uncond: Tensor) -> Tensor:
        """Guide: uncond + guidance * (cond - uncond); the original does so on the first three channels alone."""
        return guided(cond, uncond, self.guidance, self.numerics)

    def decode(self, x: Tensor) -> Tensor:
        """Decode latents to pixels uint8 [B, 3, H, W] on the CPU."""
        return pixels(self.decoder(x), self.numerics)


def _transformer(path: str | None, revision: str | None) -> Files | None:
    if path is None:
        return None
    return (
        checkpoint(Path(path))
        if Path(path).is_file()
        else find(path, revision, ["transformer"], "model.path")
    )


def _unavailable_reason(
    name: str,
    path: str | None,
    revision: str | None,
    vae: str | None,
    files: Files | None,
    decoder: Files | None,
) -> str | None:
    """Say in one line which weights are not here and how to get them; None where all are."""
    if path is None:
        return f"weights of {name} are published by nobody: give your own by model.path=FOLDER or FILE.pt"
    if files is None:
        return download(f"weights of {name} are", path, revision, "model.path")
    if decoder is None and vae is None and files.folder is not None:  # a repository without its decoder
        return download(f"the decoder of {name} is", path, revision, "model.vae")
    if decoder is None:
        return download(f"the decoder of {name} is", vae or REPOSITORY, None, "model.vae")
    return None


def _architecture(files: Files | None, configured: dict[str, Any]) -> dict[str, Any]:
    """All arguments of diffusers' DiT; ValueError, naming the place, for those of another model or of none."""
    if files is not None and files.folder is not None:
        published = files.config()
        kind, norm = published.get("_class_name"), published.get("norm_type", "ada_norm_zero")
        if kind not in CLASSES or norm != "ada_norm_zero":
            raise ValueError(f"{place(files)}: a {kind} with {norm}, not a DiT: give another model.path")
    config = of_published(DiTTransformer2DModel, files, configured, COUNTS, optional=["out_channels"])
    if config["sample_size"] % config["patch_size"]:
        raise ValueError(f"{place(files)}: sample_size must be a multiple of patch_size")
    return config
