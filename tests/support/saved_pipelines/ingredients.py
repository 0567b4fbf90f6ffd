"""What tiny pipelines share: text encoders of width 32, a byte-level tokenizer, and autoencoders for images."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2Model,
    T5Config,
    T5EncoderModel,
)

from tests.support.tiny_denoisers import TINY

WIDTH, TOKENS, VOCABULARY = 32, 24, 262
PICTURE = "start.png"  # in the folder that a pipeline is saved in
PROMPTS = ("a red car", "two grey owls", "a cup of tea", "an old harbour", "rain on a roof", "a blue door")


@dataclass(frozen=True)
class Family:
    """A family of pipelines: how a tiny one is built, and the arguments of its call."""

    build: Callable[[], Any]
    arguments: Mapping[str, Any] = field(default_factory=dict)


def denoiser(name: str, **changes: Any) -> Any:
    """Build the tiny denoiser of a class of diffusers, with changes to its configuration."""
    tiny = TINY[name]
    return type(tiny)({**tiny.configuration, **changes}).build(name)


def tokenizer(**more: Any) -> PreTrainedTokenizerFast:
    """Return a byte-level tokenizer that needs no file, with </s> at the end."""
    pieces = [
        "<pad>",
        "</s>",
        "<unk>",
        "<s>",
        "<|im_start|>",
        "<|im_end|>",
        *sorted(pre_tokenizers.ByteLevel.alphabet()),
    ]
    made = Tokenizer(models.BPE({piece: number for number, piece in enumerate(pieces)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    names = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>", "bos_token": "<s>"}
    return PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=TOKENS, **names, **more)


def t5() -> T5EncoderModel:
    """Return a T5 encoder of one layer."""
    config = T5Config(vocab_size=VOCABULARY, d_model=WIDTH, d_kv=16, d_ff=64, num_layers=1, num_heads=2)
    return alive(T5EncoderModel(config))


def qwen() -> Qwen2Model:
    """Return a decoder of a language model, of two layers."""
    config = Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
    )
    return alive(Qwen2Model(config))


def clip(projected: bool = False) -> Any:
    """Return CLIP's text encoder of two layers, with its projection or without."""
    config = CLIPTextConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=77,
        projection_dim=WIDTH,
        bos_token_id=3,
        eos_token_id=1,
        pad_token_id=0,
    )
    return alive(CLIPTextModelWithProjection(config) if projected else CLIPTextModel(config))


def image_vae(channels: int = 4, **more: Any) -> Any:
    """Return an autoencoder of images that halves their size."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 8),
        norm_num_groups=4,
        latent_channels=channels,
        sample_size=16,
        **more,
    ).eval()


def alive(network: Any) -> Any:
    """Redraw every linear map at unit gain, so that prompts differ after encoding."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.weight[0].numel() ** -0.5)
    return network.eval()


def saved(family: Family, folder: Path) -> dict[str, Any]:
    """Save a family's pipeline, and the picture that it starts from, if any; return the arguments of its call."""
    built(family).save_pretrained(folder)
    if PICTURE not in family.arguments.values():
        return dict(family.arguments)
    ramp = torch.arange(16 * 16 * 3, dtype=torch.uint8).view(16, 16, 3)
    Image.fromarray(ramp.numpy()).save(folder / PICTURE)
    return {
        key: str(folder / PICTURE) if value == PICTURE else value for key, value in family.arguments.items()
    }


def built(family: Family) -> Any:
    """Build a family's pipeline under a seed of its own, without progress bars."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        pipe = family.build()
    pipe.set_progress_bar_config(disable=True)
    return pipe
