"""What is counted on a model's skeleton: once in a process for models that are equal, as a sweep loads many."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar

from smoothbench.caching import Site
from smoothbench.protocols import Model
from smoothbench.self_sampling import SamplesItself
from smoothbench.storage.identity import canonical, describe_model

T = TypeVar("T")
REMEMBERED = 256  # counts in a process


@dataclass(frozen=True)
class _Count:
    """A count, equal to others by its key; `run` is emptied by the count, so that no model outlives its experiment."""

    key: tuple[Any, ...]
    run: list[Callable[[], Any]] = field(compare=False)


def counted_once(model: Model, what: str, sites: Sequence[Site], count: Callable[[], T], *more: Any) -> T:
    """Return what `count` returns, for the skeleton of a model and sites of it, or nothing but the model.

    Models are equal where their class, what their ids say of them and the shape of their samples are. A count of
    a model that samples itself runs its real denoiser, which others may have changed: it is always made anew.

    Args: what, the name of the count; more, hashable, what else the count depends on.
    """
    if isinstance(model, SamplesItself):
        return count()
    names = tuple(site.name for site in sites)
    described = canonical(describe_model(model)), tuple(model.sample_shape)
    result: T = _result(_Count((what, type(model), *described, names, *more), [count]))
    return result


@lru_cache(maxsize=REMEMBERED)
def _result(count: _Count) -> Any:
    return count.run.pop()()
