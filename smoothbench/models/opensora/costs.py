"""Count the MACs of a clip outside the denoiser, in text encoder and decoders, on the meta device."""

from collections.abc import Callable
from typing import Any, Final

import torch

from smoothbench.caching.cost import Macs
from smoothbench.caching.mac_counter import MacCounter
from smoothbench.models.opensora.sizes import Size
from smoothbench.models.opensora.vae import VideoVae, check
from smoothbench.models.weights.locate import Files

T5_XXL: Final = {
    "d_model": 4096,
    "d_kv": 64,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
    "feed_forward_proj": "gated-gelu",
}


def pipeline(
    vae: Files | None, encoder: Files | None, size: Size, shape: tuple[int, ...], tokens: int
) -> dict[str, Macs]:
    """Count MACs by component for one clip of latents [C, t, h, w], whose prompt is padded to `tokens` tokens.

    Components whose files are not here are counted at the published sizes.
    """
    with torch.device("meta"):
        video = VideoVae() if vae is None else check(vae)
        latents, image = torch.empty(1, *shape), torch.empty(1, shape[0], *shape[2:])
    one = _counted(lambda: video.frames(image))
    return {
        "text_encoder": _text(encoder, tokens),
        "spatial_vae": Macs(one.linear * size.frames, one.attention * size.frames),
        "temporal_vae": _counted(lambda: video.image_latents(latents, size.frames)),
    }


def _text(encoder: Files | None, tokens: int) -> Macs:
    """Count from T5's sizes, because transformers, which has T5, is an extra and costs must be known without it."""
    config: dict[str, Any] = {**T5_XXL, **(encoder.config() if encoder else {})}
    width, inner = config["d_model"], config["d_kv"] * config["num_heads"]
    matrices = 3 if "gated" in config["feed_forward_proj"] else 2
    layer = tokens * (4 * width * inner + matrices * width * config["d_ff"])
    return Macs(config["num_layers"] * layer, config["num_layers"] * 2 * tokens**2 * inner)


def _counted(call: Callable[[], Any]) -> Macs:
    with MacCounter() as counter, torch.no_grad():
        call()
    return counter.macs()
