"""Open-Sora 1.2's video autoencoder: an image autoencoder frame by frame, then one in time over its latents."""

from typing import Any, Final

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from smoothbench.errors import one_line
from smoothbench.media.codecs import levels
from smoothbench.models.opensora.sizes import CHUNK, LATENTS
from smoothbench.models.opensora.temporal_vae import TemporalVae
from smoothbench.models.weights.locate import Files
from smoothbench.models.weights.read import cast, fill, read_state

SPATIAL: Final = {  # Stable Diffusion XL's
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "norm_num_groups": 32,
}
SCALING: Final = 0.18215  # of image latents; not the 0.13025 of SDXL's own configuration
SCALE: Final = (3.85, 2.32, 2.33, 3.06)  # of each channel of the video latents, where no file says otherwise
SHIFT: Final = (-0.10, 0.34, 0.27, 0.98)
FRAMES: Final = 4  # decoded by the image decoder at once
KIND: Final = "VideoAutoencoderPipeline"
KINDS: Final = {"vae_2d": "VideoAutoencoderKL", "vae_temporal": "VAE_Temporal_SD"}
OTHER_KEYS: Final = (
    "type",
    "from_pretrained",
    "subfolder",
    "local_files_only",
    "micro_batch_size",
    "cache_dir",
)
PUBLISHED: Final = "hpcai-tech/OpenSora-VAE-v1.2"


class VideoVae(nn.Module):
    """The video autoencoder, between clips in [-1, 1] and latents; its tensors are named as in the published file.

    17 frames become 5 latents, each chunk apart, an eighth as high and wide. `spatial` and `temporal` are arguments
    of the two autoencoders where they differ from the published ones.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, spatial: dict[str, Any] | None = None, temporal: dict[str, Any] | None = None) -> None:
        super().__init__()
        image: Any = AutoencoderKL(**{**SPATIAL, **(spatial or {})})
        self.spatial_vae = nn.ModuleDict({"module": image})
        self.temporal_vae = TemporalVae(**(temporal or {}))
        self.register_buffer("scale", torch.tensor(SCALE).view(1, -1, 1, 1, 1))
        self.register_buffer("shift", torch.tensor(SHIFT).view(1, -1, 1, 1, 1))

    @property
    def _image(self) -> Any:
        return self.spatial_vae["module"]

    def encode(self, frames: Tensor) -> Tensor:
        """Encode frames [B, 3, T, H, W] in [-1, 1] to the means of their latents [B, 4, t, H / 8, W / 8]."""
        flat = frames.transpose(1, 2).flatten(0, 1).split(FRAMES)
        means = torch.cat([self._image.encode(each).latent_dist.mean for each in flat])
        images = (means * SCALING).unflatten(0, (len(frames), -1)).transpose(1, 2)
        latents = torch.cat([self.temporal_vae.encode(each) for each in images.split(CHUNK, 2)], 2)
        return (latents - self.shift) / self.scale

    def decode(self, latents: Tensor, frames: int) -> Tensor:
        """Decode latents [B, 4, t, h, w] to so many frames [B, 3, frames, 8 h, 8 w] in about [-1, 1]."""
        images = self.image_latents(latents, frames)
        flat = images.transpose(1, 2).flatten(0, 1).split(FRAMES)
        decoded = torch.cat([self.frames(each) for each in flat])
        return decoded.unflatten(0, (len(latents), -1)).transpose(1, 2)

    def image_latents(self, latents: Tensor, frames: int) -> Tensor:
        """Decode latents of a clip [B, 4, t, h, w] to those of so many single frames [B, 4, frames, h, w]."""
        chunks = (latents * self.scale + self.shift).split(LATENTS, 2)
        lengths = [min(CHUNK, frames - start) for start in range(0, frames, CHUNK)]
        return torch.cat([self.temporal_vae.decode(*each) for each in zip(chunks, lengths, strict=True)], 2)

    def frames(self, latents: Tensor) -> Tensor:
        """Decode latents of frames [N, 4, h, w] to frames [N, 3, 8 h, 8 w]."""
        decoded: Tensor = self._image.decode(latents / SCALING, return_dict=False)[0]
        return decoded


class VideoDecoder:
    """Decodes latents to clips, in float32, one clip at a time: each takes gigabytes.

    Without files it is the published architecture with random weights, for latencies alone. Raises
    ValueError, naming the file, for weights that are damaged or of another model.
    """

    def __init__(self, files: Files | None, frames: int, device: torch.device) -> None:
        self._vae = VideoVae() if files is None else _loaded(files)
        cast(self._vae, torch.float32).requires_grad_(False).eval().to(device)
        self._frames = frames

    @torch.inference_mode()
    def __call__(self, latents: Tensor) -> Tensor:
        """Decode latents [B, 4, t, h, w] to clips uint8 [B, T, 3, H, W] on the CPU."""
        return torch.cat([pixels(self._vae.decode(each, self._frames)) for each in latents.float().split(1)])


def check(files: Files) -> VideoVae:
    """Build the autoencoder of a published folder on the meta device; ValueError, naming it, for another one."""
    config, where = files.config(), files.folder
    if (kind := config.get("model_type", KIND)) != KIND:
        raise ValueError(f"{where}: a {kind!r:.60} is not Open-Sora 1.2's {KIND}: model.vae={PUBLISHED}")
    if (chunk := config.get("micro_frame_size", CHUNK)) != CHUNK:
        raise ValueError(
            f"{where}/config.json: micro_frame_size={chunk!r:.40}, Open-Sora 1.2 encodes {CHUNK} frames at once: "
            f"model.vae={PUBLISHED}"
        )
    if config.get("cal_loss"):
        raise ValueError(
            f"{where}/config.json: cal_loss={config['cal_loss']!r:.40} is for training: set it to false, "
            f"or model.vae={PUBLISHED}"
        )
    parts = [_arguments(config.get(key), kind, where) for key, kind in KINDS.items()]
    try:
        with torch.device("meta"):
            return VideoVae(*parts)
    except Exception as error:  # invalid values make torch and diffusers raise exceptions of many kinds
        raise ValueError(
            f"{where}/config.json: no {KIND} can be made of it ({one_line(error)[:200]})"
        ) from None


def _arguments(node: Any, kind: str, where: Any) -> dict[str, Any]:
    """The arguments in a component's configuration that define its size; the published one has none."""
    if not isinstance(node, dict) or node.get("type") != kind:
        raise ValueError(f"{where}: its config.json names no {kind} of Open-Sora 1.2: model.vae={PUBLISHED}")
    return {key: value for key, value in node.items() if key not in OTHER_KEYS}


def _loaded(files: Files) -> VideoVae:
    vae, state = check(files).to_empty(device="cpu"), read_state(files)
    if not any(name.startswith("temporal_vae.") for name in state):
        raise ValueError(f"weights {files.weights}: no temporal autoencoder is in it: model.vae={PUBLISHED}")
    fill(vae, state, files.weights)
    return vae


def pixels(clip: Tensor) -> Tensor:
    """Convert clips [B, C, T, H, W] in [-1, 1] to uint8 [B, T, C, H, W] on the CPU; values beyond are clipped.

    Raises FloatingPointError for a clip that is not finite.
    """
    return levels(clip).transpose(1, 2)
