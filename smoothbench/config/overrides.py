"""Refuse overrides and keys without effect: a misspelt key must not run as if it were not there."""

import copy
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass, replace
from typing import Any

from hydra.conf import HydraConf
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.types import RunMode
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from smoothbench.caching.policy import DynamicPolicy
from smoothbench.config.expand import settings
from smoothbench.config.instantiate import check_arguments
from smoothbench.config.metric_nodes import check_metrics
from smoothbench.config.spec import Settings, Spec
from smoothbench.config.validate import KNOWN, OTHERS, TO_FILE, WHOLE
from smoothbench.errors import UsageError, shown

log = logging.getLogger(__name__)

UNREAD = "a value that nobody gives"


def check_read(cfg: DictConfig, hydra: Mapping[str, Any]) -> None:
    """Raise UsageError for an override that changes nothing in this run, and for an unknown key that nothing refers to.

    A key has an effect where another value of it would give another plan, or an error, also through interpolations.
    The keys of other stages have none, though their values are checked. `hydra` is Hydra's own configuration: the
    overrides, and the chosen options. The jobs of a multirun share their overrides, and one job may use a key that
    another does not: there an override of an existing key gets a warning instead of the error.
    """
    plan = _plan(cfg)
    unused = [key for key in _unused(plan) if f"${{{key}}}" not in OmegaConf.to_yaml(cfg)]

    def is_read(key: str) -> bool:
        if _within(key, unused):
            return False
        changed = copy.deepcopy(cfg)
        try:
            OmegaConf.update(changed, key, UNREAD, merge=False, force_add=True)
            return _plan(changed) != plan
        except (UsageError, OmegaConfBaseException):
            return True

    for override in _parsed(hydra["overrides"]["hydra"]):
        _check_hydra(override)
    for override in _parsed(hydra["overrides"]["task"]):
        try:
            _check(override, cfg, hydra["runtime"]["choices"], is_read)
        except UsageError as error:
            if hydra["mode"] != RunMode.MULTIRUN or override.type != OverrideType.CHANGE:
                raise
            log.warning("%s", error)
    for key in (str(key) for key in cfg if key not in KNOWN):
        for leaf in _leaves(_node(cfg, key), key):
            if not is_read(leaf):
                raise UsageError(f"{leaf}: {_unread(cfg, leaf)}")
    _check_unbuilt(plan)
    policy, uncached = (_node(cfg, f"{key}.policy") for key in ("cache", "reference.cache"))
    if cfg.points and policy != uncached:  # from an experiment's own file
        raise UsageError(_unread(cfg, "cache"))
    if cfg.points and cfg.at is not None:
        raise UsageError(_unread(cfg, "at"))


def _check(
    override: Override, cfg: DictConfig, choices: Mapping[str, Any], is_read: Callable[[str], bool]
) -> None:
    """Refuse an option of whose node nothing is read, and any other override of which a value is not read."""
    group, value = override.key_or_group, None if override.is_delete() else override.value()
    key = override.package or group.replace("/", ".")
    # Hydra lists no choice for several options at once; what is no option stands where its key says
    elsewhere = isinstance(value, list) and OmegaConf.select(cfg, key, default=UNREAD) == UNREAD
    chosen = override.package or group in choices or elsewhere
    if not isinstance(value, dict) and chosen and not override.is_delete():
        node = _node(cfg, key)
        # None: an option that is put elsewhere, as experiments are
        unread = [] if node is None or any(map(is_read, _leaves(node, key))) else [key]
    else:
        unread = [leaf for leaf in _leaves(value, key) if not is_read(leaf)]
    if unread:
        where = "" if unread == [key] else f"{unread[0]}: "
        raise UsageError(f"{shown(override.input_line)}: {where}{_unread(cfg, unread[0])}")


def _check_unbuilt(plan: Settings) -> None:
    """Refuse nodes that this stage does not build where their targets do not take their arguments."""
    check_metrics(plan.metrics)
    for spec in plan.specs:
        for key, node in (("cache.training", spec.training), ("published", spec.published)):
            if node is not None:
                check_arguments(node, f"points.{spec.name}.{key}")


def _unread(cfg: DictConfig, key: str) -> str:
    """Say why nobody reads a key, as far as one can tell."""
    first = key.partition(".")[0]
    if cfg.points and first in ("cache", "at"):
        return f"{cfg.experiment} has its own points, so {first}=... does nothing: see only= and points.*"
    if first == "exp":
        return "an experiment's file must begin with: # @package _global_"
    if _within(key, _unused(settings(cfg))):
        return f"nothing in this run reads it: {_use(key, cfg.stage)}"
    if any(key.endswith(f"policy.{_knob(spec)}") for spec in settings(cfg).specs if spec.at is not None):
        return "nothing in this run reads it: at=... sets it"
    if first in ("points", "cache") and _is_reference(cfg, key):
        return (
            "nothing in this run reads it: the point equals the reference (reference.*), which stands for it"
        )
    if first == "points":
        return "nothing in this run reads it: the point is left out by only=, or its sweep sets it"
    return "nothing in this run reads it (--cfg job shows what there is)"


def _unused(plan: Settings) -> list[str]:
    """List the keys that this stage does not use, except those that its checks compare with other keys."""
    unused = []
    known = [*WHOLE, *OTHERS]
    if plan.stage != "train":
        unused += [key for key in known if key.startswith("training.") and key != "training.seed"]
    if plan.stage in TO_FILE or not plan.latency["rounds"]:
        unused += [key for key in known if key.startswith("latency.") and key != "latency.rounds"]
    if plan.stage in TO_FILE or (
        plan.stage == "latency" and all(_is_static(spec.policy) for spec in plan.specs)
    ):
        unused.append("batch_size")
    return unused


def _within(key: str, nodes: Sequence[str]) -> bool:
    return any(f"{key}.".startswith(f"{node}.") for node in nodes)


def _is_static(policy: Mapping[str, Any]) -> bool:
    """Whether a policy is known to plan before the run; one that decides at run time depends on the batch size."""
    try:
        target = get_object(policy["_target_"])
    except Exception:  # whoever builds it tells
        return False
    inside = policy.get("policy")  # of a composed method
    return (
        isinstance(target, type)
        and not issubclass(target, DynamicPolicy)
        and (not isinstance(inside, Mapping) or _is_static(inside))
    )


def _use(key: str, stage: str) -> str:
    """Say in which stage or with which setting an unused key would have an effect."""
    if key.startswith("training."):
        return "only stage=train learns"
    if key.startswith("latency."):
        return f"no latency is measured ({f'stage={stage}' if stage in TO_FILE else 'latency.rounds=0'})"
    return f"stage={stage} draws no samples" + ("; see latency.batch_size" if stage == "latency" else "")


def _is_reference(cfg: DictConfig, key: str) -> bool:
    """Whether the point that a key belongs to is the reference under another name."""
    alone = copy.deepcopy(cfg)
    if cfg.points:
        name = key.split(".")[1]
        if name not in cfg.points:
            return False
        alone.only = [name]
    return len(settings(alone).specs) == 1


def _plan(cfg: DictConfig) -> Settings:
    """Expand a configuration as a run does, without keys that are only there for others to refer to."""
    plan = settings(cfg)
    model = {key: value for key, value in plan.model.items() if key != "evaluation"}
    return replace(plan, model=model, specs=[_used(spec) for spec in plan.specs])


def _used(spec: Spec) -> Spec:
    """A spec without what a run does not read: at a budget that is the knob, whose setting is searched for."""
    training = spec.training if "_target_" in (spec.training or {}) else None
    if spec.unresolved is None:
        return replace(spec, training=training)
    policy = {key: value for key, value in spec.policy.items() if key != _knob(spec)}
    return replace(
        spec, training=training, policy=policy, unresolved={"label": spec.unresolved["cache"]["label"]}
    )


def _knob(spec: Spec) -> str | None:
    """The parameter of a method that `at` sets, as far as its class says."""
    target = str(spec.policy.get("_target_"))
    if target == UNREAD:
        return None
    try:
        knob = getattr(get_object(target), "knob", None)
    except Exception:  # whoever builds it tells
        return None
    return knob if isinstance(knob, str) else None


def _leaves(value: Any, key: str) -> Iterator[str]:
    """Yield the full keys of all values in a node, or the key itself where the value is no node."""
    if not isinstance(value, dict) or not value:
        yield key
        return
    for name, inner in value.items():
        yield from _leaves(inner, f"{key}.{name}")


def _node(cfg: DictConfig, key: str) -> Any:
    """Return the node at a key as plain data; None where there is nothing."""
    node = OmegaConf.select(cfg, key, throw_on_missing=False)
    return OmegaConf.to_container(node) if OmegaConf.is_config(node) else node


def _parsed(lines: Sequence[str]) -> list[Override]:
    return list(OverridesParser.create().parse_overrides(list(lines)))


def _check_hydra(override: Override) -> None:
    """Hydra adds any key to its own configuration, and reads those that it knows."""
    key = override.key_or_group
    if not key.startswith("hydra.") or override.is_delete():
        return
    for leaf in _leaves(override.value(), key):
        node: Any = OmegaConf.structured(HydraConf)
        for name in leaf.split(".")[1:]:
            if not is_dataclass(OmegaConf.get_type(node)):
                break  # a plug-in's own, or free, as loggers are
            if name not in list(node):
                raise UsageError(f"{shown(override.input_line)}: Hydra has no {leaf}")
            node = node._get_node(name)
