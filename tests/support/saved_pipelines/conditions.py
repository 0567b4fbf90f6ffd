"""Conditions that a user's pipeline may run under: an adapter, and modules that are moved one by one."""

from pathlib import Path
from typing import Any

import torch
from accelerate.hooks import AlignDevicesHook, add_hook_to_module, attach_align_device_hook
from diffusers import FluxPipeline
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict

CPU = torch.device("cpu")


def save_adapter(pipe: Any, folder: Path) -> Path:
    """Save a random adapter of a tiny FLUX, which gets it too; return its file."""
    pipe.transformer.add_adapter(LoraConfig(r=2, init_lora_weights=False, target_modules=["to_q", "to_v"]))
    layers = get_peft_model_state_dict(pipe.transformer)
    FluxPipeline.save_lora_weights(folder, transformer_lora_layers=layers, weight_name="lora.safetensors")
    return folder / "lora.safetensors"


def hook_every_module(denoiser: Any) -> None:
    """Put around every module what sequential offloading puts there; that itself wants an accelerator."""
    attach_align_device_hook(denoiser, execution_device=CPU, offload=False)
    add_hook_to_module(denoiser, AlignDevicesHook(CPU, io_same_device=True), append=True)
