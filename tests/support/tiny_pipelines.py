"""Real diffusers pipelines with tiny seeded random weights, built offline in well under a second each."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderOobleck,
    DDIMScheduler,
    DiffusionPipeline,
    DiTPipeline,
    DiTTransformer2DModel,
    DPMSolverMultistepScheduler,
    EDMDPMSolverMultistepScheduler,
    PixArtAlphaPipeline,
    PixArtTransformer2DModel,
    StableAudioDiTModel,
    StableAudioPipeline,
    StableAudioProjectionModel,
)
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import nn
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

TEXT_TOKENS = 24
TEXT_WIDTH = 32


def tiny_dit_pipeline() -> DiTPipeline:
    """Return a class-conditional DiT with 3 blocks and a learned variance, under DDIM.

    Sites: 3 x (self_attn, ff); 16 tokens of width 32. Images are [batch, 16, 16, 3] in [0, 1].
    """

    def build() -> DiTPipeline:
        transformer = DiTTransformer2DModel(
            num_attention_heads=2,
            attention_head_dim=16,
            in_channels=4,
            out_channels=8,
            num_layers=3,
            sample_size=8,
            patch_size=2,
            num_embeds_ada_norm=1000,  # DiTPipeline hard-codes class 1000 as the null class
        )
        _enliven(transformer)
        scheduler = DDIMScheduler(clip_sample=False)
        return DiTPipeline(transformer=transformer, vae=_image_decoder(), scheduler=scheduler)

    return _built_with_seed(build, seed=1)


def save_tiny_dit(folder: Path, safetensors: bool = True, legacy: bool = False) -> DiTPipeline:
    """Save `tiny_dit_pipeline` in the published layout, and return it.

    Without `safetensors` the weights are *.bin files; `legacy` gives config.json the class name and keys
    of the published one.
    """
    pipe = tiny_dit_pipeline()
    pipe.save_pretrained(folder, safe_serialization=safetensors)
    if legacy:
        path = folder / "transformer/config.json"
        old = {"_class_name": "Transformer2DModel", "_diffusers_version": "0.12.0.dev0"}
        unknown = {"num_vector_embeds": None, "only_cross_attention": False, "use_linear_projection": False}
        path.write_text(json.dumps(json.loads(path.read_text()) | old | unknown))
    return pipe


def save_in_both_formats(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """Save the tiny pipeline twice, and return its folders by whether it is in safetensors."""
    folders = {safe: tmp_path_factory.mktemp("saved") for safe in (True, False)}
    for safe, path in folders.items():
        save_tiny_dit(path, safetensors=safe)
    return folders


def tiny_pixart_pipeline() -> PixArtAlphaPipeline:
    """Return a text-to-image PixArt-alpha with 2 blocks, under DPM-Solver++(2M).

    Sites: 2 x (self_attn, cross_attn, ff); 16 tokens of width 32. Images are [batch, 3, 16, 16] in [0, 1].
    """

    def build() -> PixArtAlphaPipeline:
        transformer = PixArtTransformer2DModel(
            num_attention_heads=2,
            attention_head_dim=16,
            in_channels=4,
            out_channels=8,
            num_layers=2,
            cross_attention_dim=32,
            sample_size=8,
            caption_channels=TEXT_WIDTH,
        )
        _enliven(transformer)
        return PixArtAlphaPipeline(
            tokenizer=_tokenizer(),
            text_encoder=_text_encoder(),
            vae=_image_decoder(),
            transformer=transformer,
            # Unbounded, a random network's latents grow until the un-normed cross-attention saturates.
            scheduler=DPMSolverMultistepScheduler(thresholding=True),
        )

    return _built_with_seed(build, seed=2)


def tiny_stable_audio_pipeline() -> StableAudioPipeline:
    """Return a text-to-audio Stable Audio with 2 blocks, under the ODE form of DPM-Solver++(2M).

    Sites: 2 x (self_attn, cross_attn, ff); 25 tokens of width 32. Audio is [batch, 2, 192], 3 s at 64 Hz.
    The scheduler of the published model needs torchsde; this one has its sigmas and v-prediction without it.
    """

    def build() -> StableAudioPipeline:
        transformer = StableAudioDiTModel(
            sample_size=24,
            in_channels=8,
            out_channels=8,
            num_layers=2,
            attention_head_dim=16,
            num_attention_heads=2,
            num_key_value_attention_heads=1,
            cross_attention_dim=16,
            time_proj_dim=16,
            global_states_input_dim=2 * TEXT_WIDTH,  # start and end seconds, concatenated
            cross_attention_input_dim=TEXT_WIDTH,
        )
        _enliven(transformer)
        return StableAudioPipeline(
            vae=_audio_decoder(),
            text_encoder=_text_encoder(),
            projection_model=StableAudioProjectionModel(TEXT_WIDTH, TEXT_WIDTH, min_value=0, max_value=512),
            tokenizer=_tokenizer(),
            transformer=transformer,
            scheduler=EDMDPMSolverMultistepScheduler(
                sigma_min=0.3,
                sigma_max=500.0,
                sigma_data=1.0,
                sigma_schedule="exponential",
                prediction_type="v_prediction",
            ),
        )

    return _built_with_seed(build, seed=3)


def save_tiny_stable_audio(folder: Path, safetensors: bool = True) -> StableAudioPipeline:
    """Save `tiny_stable_audio_pipeline` in the published layout, and return it."""
    pipe = tiny_stable_audio_pipeline()
    pipe.save_pretrained(folder, safe_serialization=safetensors)
    return pipe


def call_arguments(pipe: DiffusionPipeline, batch: int = 1) -> dict[str, Any]:
    """Return the keyword arguments for `batch` samples, all but num_inference_steps and generator.

    The samples have different classes or prompts; outputs are numpy (DiT) or tensors (PixArt, Stable Audio).
    Raises ValueError for a pipeline that was not built here.
    """
    prompts = [f"{number} small dogs" for number in range(batch)]
    if isinstance(pipe, DiTPipeline):
        return {"class_labels": [207 + 100 * number for number in range(batch)], "output_type": "np"}
    if isinstance(pipe, PixArtAlphaPipeline):
        # Binning knows the published resolutions only, and caption cleaning needs two more packages.
        fixed = {"use_resolution_binning": False, "clean_caption": False, "max_sequence_length": TEXT_TOKENS}
        return {"prompt": prompts, "output_type": "pt", **fixed}
    if isinstance(pipe, StableAudioPipeline):
        return {"prompt": prompts, "output_type": "pt"}
    raise ValueError(f"call_arguments knows no {type(pipe).__name__}: use a pipeline built in tiny_pipelines")


def _built_with_seed(build: Callable[[], Any], seed: int) -> Any:
    """Build under a seed, leave the caller's random state as it was, and turn progress bars off."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pipe = build()
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _enliven(transformer: Any) -> None:
    """Redraw every linear map at unit gain, so that each branch and each modulation moves the output.

    The classes' own initialisation leaves the branches too small to tell a skipped one from a computed one.
    """
    for module in transformer.modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
            nn.init.normal_(module.weight, std=module.weight[0].numel() ** -0.5)
            if module.bias is not None:
                nn.init.normal_(module.bias, std=0.1)
    transformer.eval()


def _image_decoder() -> AutoencoderKL:
    decoder: Any = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 8),
        norm_num_groups=4,
        latent_channels=4,
        sample_size=16,
    )
    return decoder.eval()


def _audio_decoder() -> AutoencoderOobleck:
    decoder: Any = AutoencoderOobleck(
        encoder_hidden_size=8,
        downsampling_ratios=[2, 4],
        channel_multiples=[1, 2],
        decoder_channels=8,
        decoder_input_channels=8,
        sampling_rate=64,
    )
    return decoder.eval()


def _text_encoder() -> T5EncoderModel:
    return T5EncoderModel(
        T5Config(vocab_size=259, d_model=TEXT_WIDTH, d_kv=16, d_ff=64, num_layers=1, num_heads=2)
    ).eval()


def _tokenizer() -> PreTrainedTokenizerFast:
    """Return a byte-level tokenizer with T5's special tokens: no file, no unknown words, </s> at the end."""
    pieces = ["<pad>", "</s>", "<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE({piece: number for number, piece in enumerate(pieces)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=TEXT_TOKENS,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
    )
