"""The published components of Open-Sora 1.2: find their files, and check that they fit each other."""

from typing import Any, Final

from smoothbench.models.base.prompts import Prompts
from smoothbench.models.opensora import vae
from smoothbench.models.opensora.architecture import architecture
from smoothbench.models.opensora.text import find_text, lacking
from smoothbench.models.weights.locate import Files, download, find

SOURCES: Final = {  # the setting that names the source of each component
    "transformer": "path",
    "vae": "vae",
    "text_encoder": "text",
    "tokenizer": "text",
}


def find_components(path: str, vae_source: str, text: str) -> dict[str, Files | None]:
    """Find the files of all components, by the keys of `SOURCES`; None for a component that is not here.

    Raises ValueError, naming the setting, for a source that is neither a folder nor a repository, or lacks a component.
    """
    transformer, video = (
        find(source, None, [""], key, names=("model.safetensors",))
        for source, key in ((path, "model.path"), (vae_source, "model.vae"))
    )
    encoder, tokenizer = find_text(text, None)
    return dict(zip(SOURCES, (transformer, video, encoder, tokenizer), strict=True))


def checked_config(
    components: dict[str, Files | None], configured: dict[str, Any], tokens: int
) -> dict[str, Any]:
    """Return the transformer's arguments; ValueError where a component does not fit the one before it.

    Costs are counted for a prompt of `tokens` tokens, which must be no more than the transformer takes.
    """
    config = architecture(components["transformer"], configured)
    longest, width = config["model_max_length"], config["caption_channels"]
    if type(tokens) is not int or not 1 <= tokens <= longest:
        raise ValueError(f"model.tokens={tokens!r:.60}: prompts have 1 to {longest} tokens")
    if components["transformer"] is None:
        return config
    if (encoder := components["text_encoder"]) and (
        width_of_text := encoder.config().get("d_model")
    ) != width:
        raise ValueError(
            f"{encoder.folder}: text of width {width_of_text}, the transformer takes {width}: set model.text"
        )
    if (video := components["vae"]) and (count := len(vae.check(video).scale[0])) != config["in_channels"]:
        raise ValueError(
            f"{video.folder}: {count} channels, the transformer has {config['in_channels']}: set model.vae"
        )
    return config


def unavailable_reason(
    name: str, sources: dict[str, str], components: dict[str, Files | None], prompts: Prompts
) -> str | None:
    """Say in one line which weights or prompts are not here and how to get them; None where all are."""
    if absent := [component for component, files in components.items() if files is None]:
        key = SOURCES[absent[0]]
        return download(f"weights of {name} ({absent[0]}) are", sources[key], None, f"model.{key}")
    if not prompts.texts:
        return f"{name} has no prompts: model.prompts.file=FILE (conf/model/{name}.yaml lists the layouts)"
    return lacking(components["tokenizer"])
