"""Tensors that say that they are on `cuda:0`, whose values live on the CPU."""

from typing import Any, Final

import torch
from torch import Tensor, nn

CUDA: Final = torch.device("cuda", 0)


class OnDevice(Tensor):
    """A tensor of the pretended device; `on_cpu` holds its values, and shares memory as views on a GPU would."""

    on_cpu: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, on_cpu: Tensor, requires_grad: bool = False) -> Any:
        """Place values on the device; as accelerate makes parameters anew by their class, those on meta stay there."""
        if on_cpu.is_meta:
            return nn.Parameter(on_cpu, requires_grad)
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

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise RuntimeError(f"{func}: a tensor of the pretended device is used outside of pretended_cuda()")


def is_on_device(leaf: Any) -> bool:
    """Whether this is a tensor of the device: one of this class, or a parameter whose data was moved there."""
    return hasattr(leaf, "on_cpu")


def values(leaf: Any) -> Any:
    """The values of a tensor of the device, as a tensor of the CPU; anything else as it is."""
    return leaf.on_cpu if is_on_device(leaf) else leaf


def place(parameter: Any, data: Tensor) -> None:
    """Note that the data of a parameter, which stays the object that it is, are now those of another tensor."""
    if is_on_device(data):
        parameter.on_cpu = values(data)
    elif is_on_device(parameter):
        del parameter.on_cpu


def is_cuda(device: torch.device | str | int | None) -> bool:
    """Whether this names the device; None names none."""
    return device is not None and torch.device(device).type == "cuda"
