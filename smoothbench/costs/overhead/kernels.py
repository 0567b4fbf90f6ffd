"""Count the kernels that an evaluation launches: the operations of ATen that compute or move something."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from smoothbench.caching import cached
from smoothbench.costs.overhead.cases import Case
from smoothbench.costs.overhead.reused import one_full
from smoothbench.sampling.loop import sampling_states, silent

aten = torch.ops.aten
# operations that return a new tensor or a number without any work on a device
NO_KERNEL = ("_unsafe_view", "detach", "empty", "empty_like", "empty_strided", "lift_fresh", "new_empty")


class KernelCounter(TorchDispatchMode):
    """A context that counts operations of ATen that are no views: `count`. Each is a launch or more on a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self, func: OpOverload, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if (
            func.overloadpacket is aten.scaled_dot_product_attention
        ):  # one kernel where a device has one for it
            self.count += 1
            return func(*args, **(kwargs or {}))
        with self:  # in inference mode composed operations arrive whole
            result = func.decompose(*args, **(kwargs or {}))
        if result is not NotImplemented:
            return result
        self.count += launches(func)
        return func(*args, **(kwargs or {}))


def launches(operation: OpOverload) -> bool:
    """Whether an operation computes or moves something: views, new names and allocations do not."""
    if operation.overloadpacket.__name__ in NO_KERNEL:
        return False
    returns = operation._schema.returns
    aliases = [r.alias_info for r in returns if r.alias_info is not None]
    return not any(not alias.is_write for alias in aliases)


def kernels_of(states: Iterator[Any], evaluations: Callable[[int], bool]) -> dict[int, int]:
    """Count the kernels of some evaluations of a sampling run, {evaluation: kernels}; the solver's are among them.

    Args: states, a run as `sampling_states` yields it; evaluations, which ones are counted.
    """
    counts: dict[int, int] = {}
    for e, _ in states:
        while evaluations(e):
            with KernelCounter() as counter:
                following = next(states, None)
            if following is None:
                return counts
            counts[e], e = counter.count, following[0]
    return counts


@dataclass(frozen=True)
class Kernels:
    """The kernels of one evaluation: of the bare forward, with everything computed and kept, and all reused."""

    level: str
    bare: int
    computed: int
    reused: int


def kernels(case: Case) -> list[Kernels]:
    """Count the kernels of a case's evaluations by level, guidance and the solver's step included; one sample.

    Of a model on torch's meta device they are those of an accelerator, as the engine does there what it does on one.
    """
    model, solver, seeds = case.model, case.solver, range(1)
    bare = kernels_of(sampling_states(model, solver, seeds, silent), lambda e: e == 1)
    rows = []
    for level in case.levels:
        # evaluation 1 is computed, 3 reused: 0 and 2 may prepare what others share
        with cached(model.denoiser, one_full(case, level, full=2), coordinates=solver.coordinates) as run:
            counts = kernels_of(sampling_states(model, solver, seeds, run.step), lambda e: e in (1, 3))
        rows.append(Kernels(level, bare[1], counts[1], counts[3]))
    return rows
