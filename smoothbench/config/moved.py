"""Where classes are now that records, and files of users, may name by the import paths of earlier versions."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

PATHS: Mapping[str, str] = MappingProxyType(
    {
        "smoothbench.caching.SmoothCacheAt": "smoothbench.caching.SmoothCacheAtBudget",
        "smoothbench.models.clap.caption_embeddings": "smoothbench.evaluators.clap.caption_embeddings",
        "smoothbench.models.clap.load_clap": "smoothbench.evaluators.clap.load_clap",
        "smoothbench.models.dit.PixelDiT": "smoothbench.models.nano.image.model.PixelDiT",
        "smoothbench.models.effnet.load_effnet": "smoothbench.evaluators.effnet.load_effnet",
        "smoothbench.models.inception.load_inception": "smoothbench.evaluators.inception.load_inception",
        "smoothbench.models.inception.reference_batch": "smoothbench.evaluators.inception.reference_batch",
        "smoothbench.models.latent_dit.LatentDiT": "smoothbench.models.dit.latent.LatentDiT",
        "smoothbench.models.latent_uvit.LatentUViT": "smoothbench.models.uvit.latent.LatentUViT",
        "smoothbench.models.nano.evaluator.embedded": "smoothbench.models.nano.image.evaluator.embedded",
        "smoothbench.models.nano.evaluator.load_evaluator": "smoothbench.models.nano.image.evaluator.load_evaluator",
        "smoothbench.models.nano_audio.StableAudioNano": "smoothbench.models.nano.audio.model.StableAudioNano",
        "smoothbench.models.nano_video.OpenSoraNano": "smoothbench.models.nano.video.model.OpenSoraNano",
        "smoothbench.models.openl3.PublishedOpenL3": "smoothbench.evaluators.openl3.PublishedOpenL3",
        "smoothbench.models.openl3.WindowEncoder": "smoothbench.evaluators.openl3.WindowEncoder",
        "smoothbench.models.openl3.reference_statistics": "smoothbench.evaluators.openl3.reference_statistics",
        "smoothbench.models.passt.WindowTagger": "smoothbench.evaluators.passt.WindowTagger",
        "smoothbench.models.passt.published_passt": "smoothbench.evaluators.passt.published_passt",
        "smoothbench.models.passt.reference_logits": "smoothbench.evaluators.passt.reference_logits",
        "smoothbench.models.prompts.Prompts": "smoothbench.models.base.prompts.Prompts",
        "smoothbench.models.stable_audio.StableAudioOpen": "smoothbench.models.stable_audio.published.StableAudioOpen",
    }
)
NODES: tuple[tuple[Mapping[str, str], Mapping[str, str]], ...] = (  # where files of ours moved, too
    (
        {"_target_": "smoothbench.models.dit.PixelDiT", "path": "nano/dit"},
        {"_target_": "smoothbench.models.nano.image.model.PixelDiT", "path": "dit"},
    ),
    (
        {"_target_": "smoothbench.models.nano.evaluator.embedded", "file": "audio/evaluators/reference.npz"},
        {"_target_": "smoothbench.models.nano.audio.files.embedded", "file": "evaluators/reference.npz"},
    ),
    (
        {"_target_": "smoothbench.models.nano.evaluator.embedded", "file": "video/evaluators/reference.npz"},
        {"_target_": "smoothbench.models.nano.video.files.embedded", "file": "evaluators/reference.npz"},
    ),
)


def moved(node: Any) -> Any:
    """A configuration node with the import paths of now in it, and in the nodes within it."""
    if isinstance(node, list | tuple):
        return [moved(each) for each in node]
    if not isinstance(node, Mapping):
        return node
    target = node.get("_target_")
    now = {key: moved(value) for key, value in node.items()}
    now |= {"_target_": PATHS[target]} if isinstance(target, str) and target in PATHS else {}
    for old, new in NODES:
        now |= new if all(node.get(key) == value for key, value in old.items()) else {}
    return now
