"""Tensors that say that they are on `cuda:0`, whose values live on the CPU."""

from typing import Any, Final

import torch
from torch import Tensor

CUDA: Final = torch.device("cuda", 0)


class OnDevice(Tensor):
    """A tensor of the pretended device; `on_cpu` holds its values, and shares memory as views on a GPU would."""

    on_cpu: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, on_cpu: Tensor) -> "OnDevice":
        # an ordinary tensor, also within inference mode: torch wants views of ordinary tensors to be ordinary ones
        with torch.inference_mode(False):
            tensor = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]  # torch does not declare it
                cls,
                on_cpu.shape,
                strides=on_cpu.stride(),
                storage_offset=on_cpu.storage_offset(),
                dtype=on_cpu.dtype,
                device=CUDA,
            )
        tensor.on_cpu = on_cpu
        return tensor

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"OnDevice(shape={tuple(self.shape)}, dtype={self.dtype})"

    def contiguous(self, memory_format: torch.memory_format = torch.contiguous_format) -> Tensor:
        """Call the operator, as torch's own method asks for a guard of the device, which is not there."""
        return torch.ops.aten.contiguous(self, memory_format=memory_format)

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        """Say what it is made of, by which `Module.to` knows that a parameter must be exchanged for it whole."""
        return ["on_cpu"], None

    @staticmethod
    def __tensor_unflatten__(parts: dict[str, Tensor], context: None, size: Any, stride: Any) -> "OnDevice":
        return OnDevice(parts["on_cpu"])

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise RuntimeError(f"{func}: a tensor of the pretended device is used outside of pretended_cuda()")


def values(leaf: Any) -> Any:
    """The values of a tensor of the device, as a tensor of the CPU; anything else as it is."""
    return leaf.on_cpu if isinstance(leaf, OnDevice) else leaf


def is_cuda(device: torch.device | str | int | None) -> bool:
    """Whether this names the device; None names none."""
    return device is not None and torch.device(device).type == "cuda"
