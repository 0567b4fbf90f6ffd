"""From a composed configuration to the points of an experiment."""

import itertools
import re
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

from smoothbench import papers
from smoothbench.config.budgets import check_at, name_at
from smoothbench.config.cache_node import check_cache, check_keys_of_cache
from smoothbench.config.loss_target import loss_target
from smoothbench.config.moved import moved
from smoothbench.config.point_parts import PointParts, plain_node
from smoothbench.config.report_sections import section_names
from smoothbench.config.shard import shard_of
from smoothbench.config.spec import Settings, Spec
from smoothbench.config.validate import (
    OF_POINT,
    OF_REFERENCE,
    SHARED,
    WHOLE,
    check,
    check_json_serializable,
    check_point,
    check_whole,
)
from smoothbench.errors import UsageError, one_line, shown
from smoothbench.paper_convention import Convention
from smoothbench.protocols import BLOCK, Config
from smoothbench.storage.paper_row import PaperRow


def settings(cfg: DictConfig) -> Settings:
    """Check a composed configuration without building anything, and expand its grid into specs of points.

    The reference (no cache at the full steps) comes first, whatever the configuration asks for. Raises UsageError, with
    one line that names the key, for values that no run could have.
    """
    try:
        check(cfg)
        plain: Config = _plain(cfg, ("model", "metrics", "latency", "training", "paper"))
        also = plain["latency"]["also"]
        plain["latency"]["also"] = {key: values for key, values in also.items() if values is not None}
        plain["paper"] = Convention.from_config(plain["paper"])
        shared = {key: cfg[key] for key in SHARED}
        loss, report = loss_target(cfg.loss), section_names(cfg.report)
        tune = _methods(cfg) if cfg.stage == "tune" else {}
        shard = shard_of(cfg, _seeds(cfg))
        return Settings(
            **plain, **shared, specs=_specs(cfg), loss=loss, report=report, tune=tune, shard=shard
        )
    except OmegaConfBaseException as error:
        raise UsageError(_message(error, cfg)) from error


def _message(error: OmegaConfBaseException, cfg: DictConfig) -> str:
    """Describe an error of OmegaConf in one line, with a hint where a metric needs what the model lacks."""
    text = one_line(error)
    if isinstance(error, InterpolationKeyError) and re.search(r"model\.(evaluation|prompts)", text):
        reason = f"metrics: {cfg.model.get('name')} lacks what these metrics need ({text})"
        return f"{reason}: leave metrics=... out for the model's own"
    return text


def _plain(cfg: DictConfig, keys: tuple[str, ...]) -> dict[str, Any]:
    nodes = OmegaConf.create({key: plain_node(cfg[key]) for key in keys})
    resolved = OmegaConf.to_container(nodes, resolve=True, throw_on_missing=True)
    assert isinstance(resolved, dict)
    check_json_serializable(resolved, "")
    return {str(key): moved(value) for key, value in resolved.items()}


def _methods(cfg: DictConfig) -> dict[str, Config]:
    """Return the methods that stage=tune tries beside the published ones, by name."""
    nodes: dict[str, Config] = _plain(cfg, ("tune",))["tune"]
    for name, node in nodes.items():
        check_cache(node, f"tune.{name}")
    return nodes


def _seeds(cfg: DictConfig) -> range:
    """Return the seeds of this run: those of the block, or its range `seeds=a-b`, both ends included."""
    first, last = 0, cfg.num_samples - 1
    if cfg.seeds is not None:
        ends = re.fullmatch(r"([0-9]{1,7})-([0-9]{1,7})", shown(cfg.seeds))
        if not ends or not first <= int(ends[1]) < int(ends[2]) <= last:
            raise UsageError(
                f"seeds={shown(cfg.seeds)}: must be a part a-b of the block, both ends included, "
                f"of at least 2 of its num_samples={cfg.num_samples} (0-{last})"
            )
        first, last = int(ends[1]), int(ends[2])
    return range(cfg.seed * BLOCK + first, cfg.seed * BLOCK + last + 1)


def _specs(cfg: DictConfig) -> list[Spec]:
    _check_point("reference", "reference", cfg.reference, OF_REFERENCE)
    reference = _spec(cfg, "reference", 0, PointParts(cfg, "reference", cfg.reference), {}, reference=True)
    points = list(cfg.points.items()) or [("point", OmegaConf.create({"cache": cfg.cache, "at": cfg.at}))]
    wanted = _wanted(cfg, [str(name) for name, _ in points])
    specs, order = [reference], 0
    for name, node in points:
        _check_point(name, f"points.{name}" if cfg.points else "", node)
        combinations = list(_combinations(name, node.get("sweep") or {}))
        parts = PointParts(cfg, str(name), node)
        for suffix, changes in combinations:
            order += 1  # counted over all points, so that a part of them keeps its places
            spec = _spec(cfg, f"{name}{suffix}", order, parts, changes)
            decided = spec.solver, spec.policy, spec.at
            if name in wanted and decided != (reference.solver, reference.policy, None):
                specs.append(spec)
    return specs


def _check_point(name: Any, where: str, node: Any, known: tuple[str, ...] = OF_POINT) -> None:
    """Check the keys of a point, those of its nodes included; `where` is empty for the one point of cache=..."""
    check_point(name, node, known)
    for key in ("cache", "published"):
        if node.get(key) is not None:
            check_keys_of_cache(node[key], f"{where}.{key}".removeprefix("."))


def _wanted(cfg: DictConfig, names: list[str]) -> list[str]:
    if cfg.only is None:
        return names
    wanted = list(cfg.only) if isinstance(cfg.only, ListConfig) else [cfg.only]
    if not wanted:
        raise UsageError(
            f"only=[]: {cfg.experiment} has the points {', '.join(names)}: name some, or leave it out"
        )
    if unknown := [name for name in wanted if name not in names]:
        raise UsageError(f"only={shown(unknown[0])}: {cfg.experiment} has the points {', '.join(names)}")
    return wanted


def _combinations(point: str, sweep: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every combination of a sweep's values, with the suffix that it adds to the point's name."""
    if not isinstance(sweep, dict | DictConfig) or not all(
        isinstance(key, str) and isinstance(values, list | ListConfig) and values
        for key, values in sweep.items()
    ):
        raise UsageError(f"points.{point}.sweep must map keys to lists of values, not {shown(sweep)}")
    keys = list(sweep)
    for values in itertools.product(*(sweep[key] for key in keys)):
        suffix = "".join(
            f"-{key.split('.')[-1]}={shown(value)}" for key, value in zip(keys, values, strict=True)
        )
        yield suffix, dict(zip(keys, values, strict=True))


def _spec(
    cfg: DictConfig,
    name: str,
    order: int,
    parts: PointParts,
    changes: dict[str, Any],
    reference: bool = False,
) -> Spec:
    """Build the spec of a point: its cache, its changes to the solver, one combination of its sweep."""
    resolved, unresolved = parts.with_changes(name, changes)
    cache = resolved["cache"]
    check_cache(cache, f"points.{name}.cache")
    calibration = _calibration(cfg, name, resolved["calibration"])
    at = check_at(resolved["at"], "" if name == "point" else f"points.{name}: ")
    label = cache["label"] if at is None else name_at(cache["family"], at)
    return Spec(
        name=label if name == "point" else name,
        order=order,
        label=label,
        family=cache["family"],
        solver=resolved["solver"],
        predictor=cache["predictor"],
        policy=cache["policy"],
        calibration=calibration,
        training=cache.get("training"),
        published=resolved["published"]["policy"] if "published" in resolved else None,
        reported=_reported(name, resolved.get("reported")),
        seeds=_seeds(cfg),
        per_block=cfg.num_samples,
        reference=reference,
        at=at,
        unresolved=unresolved,
    )


def _reported(name: str, row: Any) -> PaperRow | None:
    """Read the row of a paper's table; UsageError where there is none of that name."""
    try:
        return None if row is None else papers.row(row)
    except ValueError as error:
        raise UsageError(f"points.{name}.reported: {one_line(error)}") from None


def _calibration(cfg: DictConfig, name: str, node: Config) -> Config:
    """Check the calibration of a point, whose seed block must not be that of the samples, and return it."""
    for key in (key for key in WHOLE if key.startswith("calibration.")):
        check_whole(key, node.get(key.removeprefix("calibration.")), f"points.{name}: ")
    if node["seed"] == cfg.seed:
        raise UsageError(f"seed={cfg.seed} is the seed block of the calibration, which must be disjoint")
    if not isinstance(node.get("unconditional"), bool):
        raise UsageError(f"points.{name}: calibration.unconditional must be true or false")
    if (node["draw"] + 1) * node["num_samples"] > BLOCK:
        raise UsageError(f"points.{name}: calibration.draw={node['draw']} is past the end of its seed block")
    return node
