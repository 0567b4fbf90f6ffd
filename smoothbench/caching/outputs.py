"""Outputs of sites: a tensor, or any nest of tuples, lists, dicts and output classes that holds tensors."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor
from torch.utils import _pytree as pytree  # public by the same name only from torch 2.9

from smoothbench.caching.predictor import History, Predictor

Rebuild = Callable[[Sequence[Tensor]], Any]


def take_apart(output: Any, name: str) -> tuple[list[Tensor], Rebuild]:
    """Return the tensors of an output, its leaves, and a function that builds such an output of other tensors.

    What is no tensor stays as it is. Raises ValueError, naming the site, where there is no tensor.
    """
    if isinstance(output, Tensor):
        return [output], _alone
    if type(output) is tuple and all(isinstance(leaf, Tensor) for leaf in output):
        return list(output), tuple  # quicker than by pytree, and what most denoisers return
    leaves, structure = pytree.tree_flatten(output)
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
    if not places:
        raise ValueError(
            f"{name} returns a {type(output).__name__} without tensors: there is nothing to keep"
        )

    def rebuild(tensors: Sequence[Tensor]) -> Any:
        filled = list(leaves)
        for place, tensor in zip(places, tensors, strict=True):
            filled[place] = tensor
        return pytree.tree_unflatten(filled, structure)

    tensors = [leaves[i] for i in places]
    for place in places:  # the rebuilding function must not keep them alive
        leaves[place] = None
    return tensors, rebuild


def predicted(
    histories: Sequence[History], predictor: Predictor, now: float, looks_at_input: bool
) -> list[Tensor]:
    """Predict the tensors of an output from the kept ones, each from its own.

    A predictor that looks at a site's input predicts the first one: it is of the input's stream. The others are
    repeated.
    """
    first, *others = histories
    rest = [history[0][1] if looks_at_input else predictor(history, now) for history in others]
    return [predictor(first, now), *rest]


def _alone(tensors: Sequence[Tensor]) -> Tensor:
    (tensor,) = tensors
    return tensor
