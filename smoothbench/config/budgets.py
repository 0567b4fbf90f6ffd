"""The key `at` of a point: the share of the uncached MACs that its method may use, by the setting of its knob."""

from dataclasses import replace
from types import MappingProxyType
from typing import Any

from omegaconf import OmegaConf

from smoothbench.caching.knobs import Setting
from smoothbench.config.spec import Spec
from smoothbench.errors import UsageError, shown
from smoothbench.protocols import Config

PRESETS = MappingProxyType({"light": 0.6, "medium": 0.4, "heavy": 0.25})  # budgets by name


def check_at(value: Any, where: str) -> float | None:
    """Return the share that a point may use, None for any; UsageError where it is no share and no preset's name."""
    if value is None:
        return None
    if isinstance(value, str) and value in PRESETS:
        return PRESETS[value]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise UsageError(
            f"{where}at={shown(value)}: must be a share of the uncached MACs, above 0 and at most 1, or one of "
            f"{', '.join(PRESETS)}"
        )
    return float(value)


def name_at(family: str, at: float) -> str:
    """Name a point by its method's family and its budget, as the knob's setting is not known yet."""
    return f"{family}, at={at:g}"


def spec_at(spec: Spec, knob: str, setting: Setting) -> Spec:
    """Return a spec whose method has its knob at a setting, in its configuration and in its label."""
    names = knob.split(".")
    policy = _replaced(spec.policy, names, setting)
    if spec.unresolved is None:
        return replace(spec, policy=policy)
    parts = OmegaConf.create(spec.unresolved)
    shown_setting = setting if isinstance(setting, int) else float(f"{setting:.4g}")
    OmegaConf.update(parts, f"cache.policy.{knob}", shown_setting, force_add=True)
    return replace(spec, policy=policy, label=str(parts.cache.label))


def _replaced(node: Config, names: list[str], setting: Setting) -> Config:
    name, *inner = names
    return {**node, name: _replaced(node[name], inner, setting) if inner else setting}
