"""CLIP's towers for pictures and their prompts, through transformers, as torchmetrics' CLIPScore takes them."""

import hashlib
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics.multimodal.clip_score import CLIPScore

from smoothbench.errors import one_line
from smoothbench.models.weights.diffusers_layout import load_component
from smoothbench.models.weights.locate import CONFIG, TOKENIZER_FILES, Files, download, find

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
PREPARED_BY = ("preprocessor_config.json", "processor_config.json", CONFIG, *TOKENIZER_FILES)


class ClipTowers(nn.Module):
    """CLIP's two towers, which return tensors, as torchmetrics expects; transformers from 5 on wraps them.

    `config` is that of the network.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network, self.config = network, network.config

    @torch.inference_mode()
    def get_image_features(self, pixels: Tensor) -> Tensor:
        """Embed prepared pictures [B, 3, H, W] as [B, D]."""
        return _bare(self.network.get_image_features(pixel_values=pixels))

    @torch.inference_mode()
    def get_text_features(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Embed the tokens [B, L] of texts as [B, D]."""
        return _bare(self.network.get_text_features(input_ids=tokens, attention_mask=mask))


class ClipScore(CLIPScore):
    """torchmetrics' CLIPScore on towers that were loaded here; `digest` is the sha256 of all its files.

    A value below 0 stays, which torchmetrics raises to 0 only after it has averaged.
    """

    name = "clip_score"
    version = 1
    digested = ("source", "revision", "processor")

    def __init__(self, towers: ClipTowers, processor: Any, digest: str) -> None:
        made: Any = (towers, processor)
        super().__init__(lambda: made)
        self.digest = digest

    def compute(self) -> Tensor:
        """Return 100 times the mean cosine of the pairs so far."""
        return self.score / self.n_samples


def load_clip_score(
    source: str = "openai/clip-vit-large-patch14", revision: str | None = None, processor: str | None = None
) -> ClipScore:
    """Load torchmetrics' CLIPScore (Hessel et al. 2021, arXiv 2104.08718): 100 times the cosine of picture and prompt.

    `source` is a folder or a repository in the Hugging Face cache, `processor` another one that prepares pictures and
    texts (None: the same). Rewards of CLIP's form, as PickScore, load likewise. Raises ValueError, with the way out,
    where transformers or the weights are not here, or are damaged.
    """
    if find_spec("transformers") is None:
        raise ValueError("CLIPScore needs the package transformers: pip install -e '.[perceptual]'")
    from transformers import CLIPModel

    files = find(source, revision, [""], "metric.source", names=WEIGHTS)
    if files is None:
        raise ValueError(download("weights of CLIP are", source, revision, "metric.source"))
    place = files
    if processor is not None:
        other = find(processor, None, [""], "metric.processor", config=PREPARED_BY[0], names=PREPARED_BY[:1])
        if other is None:
            raise ValueError(
                download("tokenizer and image processor are", processor, None, "metric.processor")
            )
        place = other
    network: Any = load_component(CLIPModel, files)
    digest = hashlib.sha256(f"{files.sha256()} {place.digest(*PREPARED_BY)}".encode()).hexdigest()
    return ClipScore(ClipTowers(network.float()), _processor(place), digest)


def _processor(files: Files) -> Any:
    from transformers import CLIPProcessor

    assert files.folder is not None  # as `find` has it
    try:
        return CLIPProcessor.from_pretrained(files.folder, local_files_only=True)
    except Exception as error:  # damaged files make parsers raise exceptions of many kinds
        raise ValueError(
            f"{files.folder}: no tokenizer or image processor of CLIP ({one_line(error)[:200]}): get it again"
        ) from None


def _bare(output: Any) -> Tensor:
    embedding: Tensor = getattr(output, "pooler_output", output)
    return embedding.clone()  # a tensor of inference mode cannot be kept for later
