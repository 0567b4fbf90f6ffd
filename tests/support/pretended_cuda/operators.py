"""Runs torch's operators for a pretended device: on the CPU, with a GPU's rules about where tensors are."""

from typing import Any, Final

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from tests.support.pretended_cuda.ledger import PINNED, READ, TO_DEVICE, TO_HOST, Ledger, project_line
from tests.support.pretended_cuda.tensors import OnDevice, is_cuda, is_on_device, values

INDEXING: Final = ("index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index")
SIZED_BY_VALUES: Final = (  # their results' shapes, or the results themselves, are known to the device alone
    "_local_scalar_dense",
    "bincount",
    "equal",
    "masked_select",
    "nonzero",
    "repeat_interleave",
    "_unique2",
    "unique_consecutive",
    "unique_dim",
)


class Operators(TorchDispatchMode):
    """Runs every operator within a context: one with a tensor of the device, or for it, on the device."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self.ledger = ledger

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = func._schema.name.partition("::")[2]
        if name == "_has_compatible_shallow_copy_type":  # may Module.to set a parameter's data?
            return True
        if _is_composite(func):
            with self:
                return func.decompose(*args, **kwargs)
        if name == "_to_copy":
            return self._copied(func, args[0], kwargs)
        if name == "copy_":
            return self._overwritten(func, args[0], args[1])
        return self._run(func, name, args, kwargs)

    def _run(self, func: Any, name: str, args: Any, kwargs: dict[str, Any]) -> Any:
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        wrapped = {id(values(tensor)): tensor for tensor in tensors if is_on_device(tensor)}
        device = kwargs.get("device")
        if not wrapped and not is_cuda(device):
            return func(*args, **kwargs)
        if wrapped:
            self._check(func, name, args, tensors)
        if is_cuda(device):
            kwargs["device"] = torch.device("cpu")
        result = func(*tree_map(values, args), **tree_map(values, kwargs))
        if device is not None and not is_cuda(device):
            return result
        if not (name.startswith(("empty", "new_empty")) or _is_view(func)):
            self.ledger.launch(name)
        return tree_map(lambda leaf: _on_device(leaf, wrapped), result)

    def _check(self, func: Any, name: str, args: Any, tensors: list[Tensor]) -> None:
        """Note what makes the host wait; raise RuntimeError for tensors of both devices, as CUDA's operators do."""
        if name in SIZED_BY_VALUES:
            self.ledger.note(READ, name)
        indices: list[Tensor] = []
        if name in INDEXING:
            indices = [index for index in args[1] if index is not None]
            note_indices(self.ledger, name, indices)
        strangers = [
            tensor
            for tensor in tensors
            if not is_on_device(tensor) and tensor.dim() > 0 and all(tensor is not i for i in indices)
        ]
        on_cpu = name in INDEXING and not is_on_device(args[0])
        if strangers or on_cpu:
            raise mixed(func, tensors)

    def _copied(self, func: Any, source: Tensor, kwargs: dict[str, Any]) -> Tensor:
        target = torch.device(kwargs.pop("device", None) or source.device)
        if target.type == "meta" or source.device.type == "meta":
            return func(values(source), **kwargs, device=target)
        copy = func(values(source), **kwargs)
        note_copy(self.ledger, source, target, kwargs.get("non_blocking", False))
        return OnDevice(copy) if target.type == "cuda" else copy

    def _overwritten(self, func: Any, target: Tensor, source: Tensor) -> Tensor:
        func(values(target), values(source))
        note_copy(self.ledger, source, target.device)
        return target


def note_copy(ledger: Ledger, source: Tensor, target: torch.device, non_blocking: bool = False) -> None:
    """Note a copy of a tensor to a device: over the bus, or within the pretended device."""
    here, there = is_on_device(source), target.type == "cuda"
    if here and there:
        ledger.launch("copy")
    elif here:
        ledger.note(TO_HOST, "copy")
    elif there:
        pinned = non_blocking and getattr(source, "pretends_to_be_pinned", False)
        ledger.note(PINNED if pinned else TO_DEVICE, "copy")


def note_indices(ledger: Ledger, name: str, indices: list[Any]) -> None:
    """Note what an operator waits for that takes elements by these tensors, or lists, of numbers or bits."""
    for index in indices:
        if not is_on_device(index):
            ledger.note(TO_DEVICE, f"{name} by an index on the CPU")
        if isinstance(index, Tensor) and index.dtype == torch.bool:
            ledger.note(READ, f"{name} by a mask")


def mixed(func: Any, tensors: list[Tensor]) -> RuntimeError:
    """The error of an operator on tensors of both devices."""
    where = ", ".join(f"{tensor.device} {tuple(tensor.shape)}" for tensor in tensors)
    return RuntimeError(
        f"Expected all tensors to be on the same device, but {func} got {where}, at {project_line()}"
    )


def _is_composite(func: Any) -> bool:
    """Whether an operator is made of others, of which each is looked at; attention's choice of a kernel is not."""
    name = func.name()
    key = "CompositeImplicitAutograd"
    return (
        bool(torch._C._dispatch_has_kernel_for_dispatch_key(name, key)) and "scaled_dot_product" not in name
    )


def _is_view(func: Any) -> bool:
    """Whether an operator gives another view of its argument's memory, which starts no kernel."""
    return any(of.alias_info is not None and not of.alias_info.is_write for of in func._schema.returns)


def _on_device(leaf: Any, wrapped: dict[int, Tensor]) -> Any:
    """A result as a tensor of the device: the argument itself where an operator gives that back."""
    if not isinstance(leaf, Tensor):
        return leaf
    argument = wrapped.get(id(leaf))
    return OnDevice(leaf) if argument is None else argument
