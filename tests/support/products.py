"""Count how often each weight is multiplied with something."""

from collections import Counter
from typing import Any

from torch import nn
from torch.overrides import TorchFunctionMode


class Products(TorchFunctionMode):
    """Counts the products with each weight, by the weight's `id`."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = Counter[int]()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is nn.functional.linear:
            self.counts[id(args[1])] += 1
        return func(*args, **(kwargs or {}))
