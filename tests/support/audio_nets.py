"""Tiny networks in the place of OpenL3, PaSST and CLAP, and clips to show them."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor, nn
from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, PreTrainedTokenizerFast


class Pooled(nn.Module):
    """Windows [M, frames] of any length to a linear map of a coarse envelope, [M, width]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(width)
            self.map = nn.Linear(64, width)

    def forward(self, frames: Tensor) -> Tensor:
        with torch.inference_mode():
            features: Tensor = self.map(
                nn.functional.adaptive_avg_pool1d(frames.abs()[:, None], 64)[:, 0] * 10
            )
        return features


def save_tiny_clap(folder: Path) -> Path:
    """Towers with random weights in the published layout, one that fuses crops of long clips."""
    audio = {
        "window_size": 4,
        "num_mel_bins": 64,
        "spec_size": 64,
        "patch_size": 4,
        "patch_stride": [4, 4],
        "patch_embeds_hidden_size": 8,
        "depths": [1, 1],
        "num_attention_heads": [2, 2],
        "hidden_size": 16,
        "enable_fusion": True,
        "aff_block_r": 2,
    }
    text = {
        "vocab_size": 259,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "max_position_embeddings": 96,
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = ClapModel(ClapConfig(audio_config=audio, text_config=text, projection_dim=12)).eval()
    network.save_pretrained(folder)
    ClapFeatureExtractor(hop_length=9600, truncation="fusion").save_pretrained(folder)
    _tokenizer().save_pretrained(folder)
    return folder


def _tokenizer() -> PreTrainedTokenizerFast:
    pieces = ["<s>", "<pad>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE({piece: number for number, piece in enumerate(pieces)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", model_max_length=77)


def notes(timbre: int, pitches: list[float], seed: int, frames: int = 32768, rate: int = 16_000) -> Tensor:
    """A clip int16 [1, frames] of equally long notes with harmonics, a little out of tune, by their timbre.

    0: nearly pure, 1: odd harmonics, 2: bright and decaying.
    """
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(frames // len(pitches), dtype=torch.float64) / rate
    strengths = ([1.0, 0.1], [1.0, 0.0, 0.5, 0.0, 0.3], [1.0, 0.8, 0.7, 0.6, 0.5, 0.4])[timbre]
    parts = []
    for pitch in pitches:
        tuned = pitch * (1 + 0.01 * float(torch.randn((), generator=generator)))
        wave = sum(a * torch.sin(2 * torch.pi * tuned * (k + 1) * time) for k, a in enumerate(strengths))
        decay = torch.exp(-time * (12.0 if timbre == 2 else 1.0)) * (time * 200).clamp(max=1)
        parts.append(wave * decay)
    audio = torch.nn.functional.pad(torch.cat(parts), (0, frames - len(pitches) * len(time)))
    return (audio / audio.abs().max() * 12000).round().to(torch.int16)[None]


def stereo(frames: int, count: int = 2) -> Tensor:
    """Two different sides, int16 [count, 2, frames]."""
    sides = [
        [notes(side, [220.0 * (i + 1), 330.0], 2 * i + side, frames)[0] for side in (0, 1)]
        for i in range(count)
    ]
    return torch.stack([torch.stack(each) for each in sides])
