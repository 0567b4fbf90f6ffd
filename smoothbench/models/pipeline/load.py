"""Load a pipeline onto the device: its weights, adapters and offloading, by diffusers' own methods."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import diffusers
import torch
import transformers
from torch import nn

from smoothbench.errors import one_line
from smoothbench.models.base.guided import DTYPES
from smoothbench.models.base.offloaded import Offloaded, can_be_offloaded
from smoothbench.models.pipeline.components import Folder
from smoothbench.models.pipeline.encoded_prompts import EncodedPrompts
from smoothbench.models.pipeline.two_networks import SECOND

OFFLOADS: Final = ("none", "model", "sequential", "group")
# a pipeline's component, the first that it has
DENOISERS: Final = ("transformer", "unet", "prior", "decoder")


def load_pipeline(folder: Folder, dtype: str, lora: str | None) -> Any:
    """Load a pipeline with all of its weights in `dtype`, on the CPU; ValueError, naming the place, where it cannot."""
    variants = folder.variants()
    how: dict[str, Any] = {"dtype": DTYPES[dtype], "local_files_only": True}
    variant = min(filter(None, variants.values()), default=None)
    more = how if variant is None else how | {"variant": variant}
    with _without_bars():
        encoders = _of_transformers(folder, variants, how)
        parts = {**dict.fromkeys(folder.absent), **encoders}
        pipe = _loaded(folder.path, folder.pipeline_class, {**more, **parts})
    _check_weights(pipe, folder)
    pipe.set_progress_bar_config(disable=True)
    if lora is not None:
        add_lora(pipe, lora)
    for name, component in pipe.components.items():
        if isinstance(component, nn.Module):
            component.eval()
            # torch cannot count the costs of a module whose input wants a gradient; text encoders stay as in
            # diffusers: torch would choose other kernels
            if name in (*DENOISERS, SECOND):
                component.requires_grad_(False)
    if callable(getattr(pipe, "encode_prompt", None)):
        pipe.encode_prompt = EncodedPrompts(pipe.encode_prompt)
    return pipe


def _of_transformers(
    folder: Folder, variants: Mapping[str, str | None], how: Mapping[str, Any]
) -> dict[str, nn.Module]:
    """Load the networks that are of transformers, text encoders mostly; ValueError where their files lack weights.

    Within a pipeline transformers fills such weights with new random numbers, and says so in a warning alone.
    """
    loaded = dict[str, nn.Module]()
    for name, kind in folder.networks().items():
        if issubclass(kind, transformers.PreTrainedModel):
            variant = {"variant": variants[name]} if variants[name] else {}
            place = folder.path / name
            loaded[name], report = _loaded(place, kind, {**how, **variant, "output_loading_info": True})
            _refuse_missing(place, sorted(report["missing_keys"]))
    return loaded


def _loaded(place: Path, kind: Any, arguments: Mapping[str, Any]) -> Any:
    """Load what a class of diffusers or transformers makes of a folder; ValueError, naming it, where it cannot."""
    try:
        return kind.from_pretrained(place, **arguments)
    except Exception as error:  # of many kinds: damaged files, packages that are not here
        raise ValueError(f"{place}: cannot be loaded ({one_line(error)[:300]})") from None


def _check_weights(pipe: Any, folder: Folder) -> None:
    """Raise ValueError, naming the component, where its files have no values for some of its weights."""
    for name, component in pipe.components.items():
        weights = component.named_parameters() if isinstance(component, nn.Module) else ()
        _refuse_missing(folder.path / name, [weight for weight, values in weights if values.is_meta])


def _refuse_missing(place: Path, weights: Sequence[str]) -> None:
    if weights:
        raise ValueError(
            f"{place}: {len(weights)} weights of its config.json are not in its files ({weights[0]}, ...): "
            "download or save it again"
        )


@contextmanager
def _without_bars() -> Iterator[None]:
    """Load without the progress bars of the libraries, which would stand between our lines."""
    shown = [
        library for library in (diffusers.utils.logging, transformers.utils.logging) if _shows_bars(library)
    ]
    for library in shown:
        library.disable_progress_bar()
    try:
        yield
    finally:
        for library in shown:
            library.enable_progress_bar()


def _shows_bars(library: Any) -> bool:
    return bool(library.is_progress_bar_enabled())


def add_lora(pipe: Any, lora: str) -> None:
    """Load a LoRA adapter from a file; ValueError, naming the setting, where that is not possible."""
    path = Path(lora)
    if not path.is_file():
        raise ValueError(f"model.lora={lora}: no such file: give a *.safetensors file")
    if not callable(getattr(pipe, "load_lora_weights", None)):
        raise ValueError(f"model.lora: {type(pipe).__name__} loads no LoRA adapters: set model.lora=null")
    try:
        pipe.load_lora_weights(str(path.parent), weight_name=path.name, local_files_only=True)
    except Exception as error:  # of another model, damaged, or peft is not installed
        raise ValueError(f"model.lora={lora}: cannot be loaded ({one_line(error)[:200]})") from None


def place_pipeline(pipe: Any, device: torch.device, offload: str) -> None:
    """Put a pipeline on the device, or leave it where offloading fetches it from; ValueError where that is refused.

    Without offloading its text encoders stay in main memory, and come to the device for prompts that are new.
    """
    if offload == "sequential" and device.type == "cpu":
        raise ValueError(
            "model.offload=sequential moves modules to a GPU, and the device is the CPU: set it to none"
        )
    try:
        if offload == "model":
            pipe.enable_model_cpu_offload(device=device)
        elif offload == "sequential":
            pipe.enable_sequential_cpu_offload(device=device)
        elif offload == "group":
            pipe.enable_group_offload(device, offload_type="leaf_level")
        else:
            _place_whole(pipe, device)
    except (ImportError, RuntimeError, ValueError, NotImplementedError) as error:
        if isinstance(error, torch.OutOfMemoryError) or offload == "none":
            raise
        raise ValueError(f"model.offload={offload}: {one_line(error)[:200]}") from None


def _place_whole(pipe: Any, device: torch.device) -> None:
    """Put all of a pipeline on the device but the text encoders, where `encode_prompt` is all that needs them."""
    encode = getattr(pipe, "encode_prompt", None)
    encoders = _text_encoders(pipe) if isinstance(encode, EncodedPrompts) and device.type != "cpu" else {}
    with _without(pipe, encoders):
        pipe.to(device)
    if encoders and torch.device(pipe._execution_device).type == device.type:
        encode.offloaded = Offloaded(list(encoders.values()), device)  # type: ignore[union-attr]
    else:  # without text encoders, or by an older diffusers, which may take their place for the pipeline's device
        pipe.to(device)


def _text_encoders(pipe: Any) -> dict[str, nn.Module]:
    """The text encoders of a pipeline by name, of ordinary weights."""
    networks = {name: part for name, part in pipe.components.items() if isinstance(part, nn.Module)}
    return {
        name: part
        for name, part in networks.items()
        if name.startswith("text_encoder") and can_be_offloaded(part)
    }


@contextmanager
def _without(pipe: Any, names: Iterable[str]) -> Iterator[None]:
    """Hide components of a pipeline within a context; its configuration keeps them."""
    hidden = {name: vars(pipe)[name] for name in names}
    vars(pipe).update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        vars(pipe).update(hidden)


def denoiser_name(folder: Folder, component: str | None) -> str:
    """Return the name of the component that is cached; ValueError, naming the setting, where there is none."""
    networks = folder.networks()
    if component is not None and component not in networks:
        raise ValueError(f"model.component={component}: the pipeline has {', '.join(networks)}")
    name = component or next((each for each in DENOISERS if each in networks), None)
    if name is None:
        raise ValueError(f"model.component must name the pipeline's denoiser, one of {', '.join(networks)}")
    return name
