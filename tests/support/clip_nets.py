"""Tiny CLIP towers with random weights, in the published layout."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, PreTrainedTokenizerFast


def save_tiny_clip(folder: Path) -> Path:
    """Save towers of width 16 for pictures of 16 x 16 and texts of at most 32 tokens, with their processor."""
    shared = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    text = {**shared, "vocab_size": 259, "max_position_embeddings": 32, "eos_token_id": 2, "bos_token_id": 0}
    vision = {**shared, "image_size": 16, "patch_size": 8}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)).eval()
        for tower in (network.visual_projection, network.text_projection):
            torch.nn.init.normal_(tower.weight)  # far apart, so that pictures differ
    network.save_pretrained(folder)
    pictures = CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    CLIPProcessor(image_processor=pictures, tokenizer=_tokenizer()).save_pretrained(folder)
    return folder


def _tokenizer() -> PreTrainedTokenizerFast:
    pieces = ["<s>", "<pad>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE({piece: number for number, piece in enumerate(pieces)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>")
