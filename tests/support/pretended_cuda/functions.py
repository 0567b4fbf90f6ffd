"""Stands in for those of torch's functions that reach no operator, or ask for a device without its number."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_map

from tests.support.pretended_cuda.ledger import READ, Ledger, project_line
from tests.support.pretended_cuda.operators import mixed, note_copy, note_indices
from tests.support.pretended_cuda.tensors import CUDA, OnDevice, is_cuda, is_on_device, place, values


class Functions(TorchFunctionMode):
    """Makes torch's functions know the pretended device within a context."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self.ledger = ledger
        self._special: dict[str, Callable[..., Any]] = {
            "tensor": self._from_data,
            "as_tensor": self._from_data,
            "asarray": self._from_data,
            "new_tensor": self._new_tensor,
            "tolist": self._read,
            "__float__": self._read,
            "__int__": self._read,
            "__index__": self._read,
            "__format__": self._read,
            "numpy": self._to_numpy,
            "__array__": self._to_numpy,
            "pin_memory": self._pinned,
            "cuda": self._moved,
            "copy_": self._overwritten,
            "contiguous": self._contiguous,
            "__invert__": self._inverted,
            "__set__": self._set,
            "__get__": self._get,
            "__getitem__": self._indexed,
            "__setitem__": self._assigned,
            "scaled_dot_product_attention": self._attention,
        }

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        args = tuple(_numbered(arg) if isinstance(arg, torch.device) else arg for arg in args)
        kwargs = dict(kwargs or {})
        if kwargs.get("device") is not None:
            kwargs["device"] = _numbered(kwargs["device"])
        name = getattr(func, "__name__", "")
        if name == "to" and len(args) > 1 and isinstance(args[1], str):
            args = (args[0], _numbered(args[1]), *args[2:])
        special = self._special.get(name)
        return func(*args, **kwargs) if special is None else special(func, *args, **kwargs)

    def _from_data(self, func: Any, data: Any, **kwargs: Any) -> Any:
        """Make a tensor of data on the CPU first, as torch does, and copy it."""
        device = kwargs.pop("device", None)
        if is_on_device(data):
            return data.to(device or CUDA, kwargs.get("dtype"))
        made = func(data, **kwargs, device=None if is_cuda(device) else device)
        return made.to(CUDA) if is_cuda(device) else made

    def _new_tensor(self, func: Any, like: Tensor, data: Any, **kwargs: Any) -> Any:
        if not is_on_device(like):
            return func(like, data, **kwargs)
        return self._from_data(torch.tensor, data, **{"dtype": like.dtype, "device": CUDA, **kwargs})

    def _read(self, func: Any, tensor: Tensor, *args: Any) -> Any:
        if is_on_device(tensor):
            self.ledger.note(READ, func.__name__.strip("_"))
        return func(values(tensor), *args)

    def _to_numpy(self, func: Any, tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
        if is_on_device(tensor):
            raise TypeError(f"can't convert cuda:0 device type tensor to numpy, at {project_line()}")
        return func(tensor, *args, **kwargs)

    def _pinned(self, func: Any, tensor: Tensor, *args: Any) -> Any:
        if is_on_device(tensor):
            raise RuntimeError(f"cannot pin a tensor of cuda:0, at {project_line()}")
        pinned: Any = tensor.clone()
        pinned.pretends_to_be_pinned = True
        return pinned

    def _moved(self, func: Any, tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
        return tensor.to(CUDA)

    def _set(self, func: Any, tensor: Tensor, value: Any) -> None:
        """Set an attribute; a parameter whose data moves to the device stays a parameter, with the values of these."""
        func(tensor, value)
        if func.__self__ is Tensor.data:
            place(tensor, value)

    def _get(self, func: Any, tensor: Tensor, *args: Any) -> Any:
        if func.__self__ is Tensor.data and is_on_device(tensor):
            return OnDevice(values(tensor))
        return func(tensor, *args)

    def _contiguous(self, func: Any, tensor: Tensor, **kwargs: Any) -> Tensor:
        """Call the operator, as torch's own method asks for a guard of the device, which is not there."""
        kwargs.setdefault("memory_format", torch.contiguous_format)
        return torch.ops.aten.contiguous(tensor, **kwargs)

    def _inverted(self, func: Any, tensor: Tensor) -> Tensor:
        """Call the operator, as torch's own method asks for a guard of the device, which is not there."""
        return torch.bitwise_not(tensor)

    def _overwritten(self, func: Any, target: Tensor, source: Tensor, non_blocking: bool = False) -> Tensor:
        """Copy the values, as torch asks for a guard of the device, which is not there."""
        if not is_on_device(target):
            return func(target, source)
        with _disable_current_modes():
            values(target).copy_(values(source))
        note_copy(self.ledger, source, CUDA, non_blocking)
        return target

    def _indexed(self, func: Any, tensor: Tensor, index: Any) -> Any:
        """Index the values, as torch asks for a guard of the device, which is not there."""
        chosen = _choosing(index)
        if not is_on_device(tensor):
            if any(map(is_on_device, chosen)):
                raise mixed("indexing", [tensor, *chosen])
            return func(tensor, index)
        note_indices(self.ledger, "indexing", chosen)
        if chosen:
            self.ledger.launch("index")
        with _disable_current_modes():
            return OnDevice(func(values(tensor), tree_map(values, index)))

    def _assigned(self, func: Any, tensor: Tensor, index: Any, value: Any) -> None:
        if not is_on_device(tensor):
            func(tensor, index, value)
            return
        note_indices(self.ledger, "indexing", _choosing(index))
        if isinstance(value, Tensor) and value.dim() > 0:
            note_copy(self.ledger, value, CUDA)
        else:
            self.ledger.launch("fill_")
        with _disable_current_modes():
            func(values(tensor), tree_map(values, index), values(value))

    def _attention(self, func: Any, *args: Any, **kwargs: Any) -> Any:
        """One kernel: what torch makes of it on the CPU is not what it makes of it on a GPU."""
        tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
        if not any(is_on_device(tensor) for tensor in tensors):
            return func(*args, **kwargs)
        if not all(is_on_device(tensor) for tensor in tensors):
            raise mixed("scaled_dot_product_attention", tensors)
        with _disable_current_modes():
            output = func(*map(values, args), **{key: values(value) for key, value in kwargs.items()})
        self.ledger.launch("scaled_dot_product_attention")
        return OnDevice(output)


def _choosing(index: Any) -> list[Any]:
    """The parts of an index that choose elements by numbers or bits, for which a kernel runs."""
    parts = index if isinstance(index, tuple) else (index,)
    return [p for p in parts if isinstance(p, list) or (isinstance(p, Tensor) and p.dim() > 0)]


def _numbered(device: Any) -> Any:
    """The device with its number, as torch's tensors have it."""
    return CUDA if isinstance(device, str | int | torch.device) and is_cuda(device) else device
