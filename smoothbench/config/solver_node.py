"""The solver of a point: the run's own, with what the point changes of it."""

from inspect import Parameter, signature
from typing import Any

from hydra.utils import get_object
from omegaconf import OmegaConf

from smoothbench.protocols import Config


def merged_solver(of_run: Any, of_point: Any) -> Config:
    """Merge a point's solver into the run's.

    Where the point names another class, it goes on with those parameters of the run's solver that this class has too,
    such as `steps`: the others, such as the noise of a stochastic solver, mean nothing to it.
    """
    base, given = _plain(of_run), _plain(of_point or {})
    if isinstance(given, dict) and "_target_" in given and given["_target_"] != base.get("_target_"):
        taken = _parameters(given["_target_"])
        base = {key: value for key, value in base.items() if taken is None or key in taken}
    merged = OmegaConf.to_container(OmegaConf.merge(base, given))
    assert isinstance(merged, dict)
    return {str(key): value for key, value in merged.items()}


def _parameters(target: Any) -> set[str] | None:
    """The names of a class's parameters; None where it takes any, or cannot be asked: then building it says why."""
    try:
        parameters = signature(get_object(target)).parameters
    except Exception:  # whatever an import of the user's raises comes again when the solver is built
        return None
    takes_any = any(one.kind is Parameter.VAR_KEYWORD for one in parameters.values())
    return None if takes_any else set(parameters)


def _plain(node: Any) -> Any:
    return OmegaConf.to_container(node) if OmegaConf.is_config(node) else node
