"""A tiny Open-Sora 1.2 for tests, from random weights in the published layouts."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from smoothbench.models.base.prompts import Prompts
from smoothbench.models.opensora.published import OpenSora
from smoothbench.models.opensora.sizes import timestep_shift
from smoothbench.models.opensora.stdit3 import STDiT3
from smoothbench.models.opensora.vae import VideoVae
from smoothbench.solvers.rflow import RectifiedFlow
from tests.support.latent_dits import CPU
from tests.support.tiny_pipelines import TEXT_TOKENS, TEXT_WIDTH, tiny_pixart_pipeline

LONG = "two small dogs in a very long prompt that is cut"
TEXTS = ["Rain", "a dog", LONG, "wind", "hail"]
SHIFT = timestep_shift(144, 256, 51)
SOLVER = RectifiedFlow(4, SHIFT)
TRANSFORMER = {
    "hidden_size": 16,
    "depth": 1,
    "num_heads": 2,
    "caption_channels": TEXT_WIDTH,
    "model_max_length": TEXT_TOKENS,
}
OF_TRAINING = {
    "architectures": ["STDiT3"],
    "model_type": "STDiT3",
    "enable_flash_attn": False,
    "drop_path": 0.0,
}
SPATIAL = {  # frames as large as their latents, where the published one makes them eight times as large
    "block_out_channels": [4],
    "down_block_types": ["DownEncoderBlock2D"],
    "up_block_types": ["UpDecoderBlock2D"],
    "layers_per_block": 1,
    "norm_num_groups": 2,
}
TEMPORAL = {"filters": 2, "num_res_blocks": 1, "num_groups": 2}
PIPELINE = {"model_type": "VideoAutoencoderPipeline", "micro_frame_size": 17}


def published(folder: Path) -> Path:
    """Save transformer/, vae/, text/ (with text_encoder/ and tokenizer/) and a list of prompts in a folder."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        transformer, vae = STDiT3(**TRANSFORMER), VideoVae(SPATIAL, TEMPORAL)
        for module in transformer.modules():
            if isinstance(module, nn.Linear):  # the embedders' own are too small to tell captions apart
                nn.init.normal_(module.weight, std=module.in_features**-0.5)
    save(folder / "transformer", transformer, TRANSFORMER | OF_TRAINING)
    parts = {
        "vae_2d": {"type": "VideoAutoencoderKL", "micro_batch_size": 4, "subfolder": "vae", **SPATIAL},
        "vae_temporal": {"type": "VAE_Temporal_SD", "from_pretrained": None, **TEMPORAL},
    }
    save(folder / "vae", vae, PIPELINE | parts)
    text = tiny_pixart_pipeline()
    text.text_encoder.save_pretrained(folder / "text/text_encoder", max_shard_size="30KB")
    text.tokenizer.save_pretrained(folder / "text/tokenizer")
    (folder / "prompts.txt").write_text("\n".join(TEXTS))
    return folder


def save(folder: Path, module: nn.Module, config: dict[str, Any]) -> None:
    """Weights and configuration, as huggingface_hub leaves them."""
    folder.mkdir(parents=True)
    state = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))


def sources(folder: Path) -> dict[str, str]:
    """The settings that name the parts of such a folder."""
    return {"path": str(folder / "transformer"), "vae": str(folder / "vae"), "text": str(folder / "text")}


def opensora(folder: Path, **more: Any) -> OpenSora:
    """A model of that folder in the smallest size, with its prompts, unless others are given."""
    smallest = {"resolution": "144p", "shift": SHIFT, "tokens": 12, "architecture": {}, "aes": None}
    arguments: dict[str, Any] = sources(folder) | smallest | {"device": CPU} | more
    prompts = arguments.pop("prompts", None) or Prompts(str(folder / "prompts.txt"))
    return OpenSora("tiny", prompts=prompts, **arguments)
