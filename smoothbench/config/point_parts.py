"""The parts of a point of an experiment: its cache, solver and calibration, with what its sweep changes of them."""

from collections.abc import Mapping
from copy import deepcopy
from functools import cached_property
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from smoothbench.config.cache_node import check_policy, new_interpolation
from smoothbench.config.old_keys import new_spelling
from smoothbench.config.solver_node import merged_solver
from smoothbench.config.validate import check_json_serializable
from smoothbench.errors import UsageError, one_line, shown
from smoothbench.protocols import Config

GIVEN = ("cache", "published", "reported")


class PointParts:
    """What all combinations of a point's sweep share: its cache, solver, calibration, `at`, and a paper's row."""

    def __init__(self, cfg: DictConfig, name: str, node: DictConfig) -> None:
        """Merge the run's solver and calibration with the point's; UsageError where they do not go together."""
        self._nodes = {key: plain_node(node[key]) for key in GIVEN if node.get(key) is not None}
        try:
            calibration = OmegaConf.merge(cfg.calibration, node.get("calibration") or {})
            self._shared = OmegaConf.create(
                {
                    **self._nodes,
                    "model": plain_node(cfg.model),  # for what the others say of it
                    "solver": merged_solver(cfg.solver, node.get("solver")),
                    "calibration": plain_node(calibration),
                    "at": plain_node(node.get("at")),
                }
            )
        except OmegaConfBaseException as error:
            raise self._refusal(name, error) from error

    def with_changes(self, name: str, changes: Mapping[str, Any]) -> tuple[Config, Config | None]:
        """Return the parts with one combination of the sweep, resolved, and, where they have an `at`, unresolved.

        Args: name, the combination's in messages. Raises UsageError where the sweep names a key that the point does
        not have, or a part is no node.
        """
        # all combinations change the same keys, and only nodes would be merged with what was there before
        parts = self._changeable if all(map(_is_plain, changes.values())) else deepcopy(self._shared)
        try:
            for key, value in changes.items():
                if OmegaConf.select(parts, key, default=parts) is parts:
                    raise UsageError(_no_such_key(name, key))
                OmegaConf.update(parts, key, value)
            keys = [str(key) for key in parts if key != "model"]
            resolved: Config = {key: plain_node(parts[key], resolve=True) for key in keys}
        except OmegaConfBaseException as error:
            raise self._refusal(name, error) from error
        for key, value in resolved.items():
            if not isinstance(value, dict) and key not in ("reported", "at"):
                raise UsageError(f"points.{name}.{key}={shown(value)}: must be a node")
        if "published" in resolved:
            check_policy(resolved["published"], f"points.{name}.published")
        check_json_serializable(resolved, f"points.{name}")
        return resolved, None if resolved["at"] is None else plain_node(parts)

    @cached_property
    def _changeable(self) -> DictConfig:
        return deepcopy(self._shared)

    def _refusal(self, name: str, error: OmegaConfBaseException) -> UsageError:
        if isinstance(error, MissingMandatoryValue) and error.full_key:
            return UsageError(f"points.{name}: {error.full_key} has no value: give it, {error.full_key}=...")
        hint = new_interpolation(str(error), self._nodes.get("cache"))
        return UsageError(f"points.{name}: {one_line(error)}{hint}")


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def _no_such_key(name: str, key: str) -> str:
    """Say why a sweep is refused that names a key which its point does not have."""
    spelling = new_spelling(key)
    lacking = f"points.{name}: the sweep names {shown(key)}, which the point does not have"
    return f"{lacking}; {spelling}" if spelling else lacking


def plain_node(value: Any, resolve: bool = False) -> Any:
    """Convert a node to plain data; where it is resolved, nothing may be missing in it."""
    if not OmegaConf.is_config(value):
        return value
    return OmegaConf.to_container(value, resolve=resolve, throw_on_missing=resolve)
