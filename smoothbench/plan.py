"""From a composed configuration to the points of an experiment."""

import itertools
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from smoothbench.errors import UsageError
from smoothbench.types import Config, Settings, Spec

STAGES = ("all", "cost", "calibrate")


def settings(cfg: DictConfig) -> Settings:
    """Check what can be checked without building anything, and expand the grid.

    The reference (no cache at the solver's full steps) comes first, also where nobody asked for it.
    Raises UsageError for values out of range and names that do not exist.
    """
    _check(cfg)
    plain = _plain(cfg, ("model", "metrics", "calibration", "latency"))
    shared = {
        key: cfg[key]
        for key in ("experiment", "stage", "batch_size", "device", "results_dir", "force", "out")
    }
    return Settings(**plain, **shared, specs=_specs(cfg))


def _plain(cfg: DictConfig, keys: tuple[str, ...]) -> dict[str, Any]:
    try:
        whole = OmegaConf.create({key: OmegaConf.to_container(cfg[key]) for key in keys})
        resolved = OmegaConf.to_container(whole, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise UsageError(_one_line(error)) from error
    assert isinstance(resolved, dict)
    return {str(key): value for key, value in resolved.items()}


def _check(cfg: DictConfig) -> None:
    if cfg.stage not in STAGES:
        raise UsageError(f"stage={cfg.stage}: there are {', '.join(STAGES)}")
    for key, least in (("num_samples", 2), ("batch_size", 1), ("seed", 0)):
        if not isinstance(cfg[key], int) or cfg[key] < least:
            raise UsageError(f"{key}={cfg[key]}: must be a whole number from {least}")
    if cfg.seed == cfg.calibration.seed:
        raise UsageError(f"seed={cfg.seed} is the seed block of the calibration, which must be disjoint")


def _specs(cfg: DictConfig) -> list[Spec]:
    reference = _spec(cfg, "reference", 0, cfg.reference, {}, reference=True)
    points = list(cfg.points.items()) or [("point", OmegaConf.create({"cache": cfg.cache}))]
    wanted = _wanted(cfg, [str(name) for name, _ in points])
    specs = [reference]
    for name, node in points:
        if name not in wanted:
            continue
        for suffix, changes in _combinations(node.get("sweep") or {}):
            spec = _spec(cfg, f"{name}{suffix}", len(specs), node, changes)
            if (spec.solver, spec.cache) != (reference.solver, reference.cache):
                specs.append(spec)
    return specs


def _wanted(cfg: DictConfig, names: list[str]) -> list[str]:
    if cfg.only is None:
        return names
    wanted = [cfg.only] if isinstance(cfg.only, str) else list(cfg.only)
    if unknown := [name for name in wanted if name not in names]:
        raise UsageError(f"only={unknown[0]}: {cfg.experiment} has the points {', '.join(names)}")
    return wanted


def _combinations(sweep: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every combination of a sweep's values, with the part that it adds to the point's name."""
    keys = [str(key) for key in sweep]
    for values in itertools.product(*(sweep[key] for key in keys)):
        suffix = "".join(f"-{key.split('.')[-1]}={value}" for key, value in zip(keys, values, strict=True))
        yield suffix, dict(zip(keys, values, strict=True))


def _spec(
    cfg: DictConfig, name: str, order: int, node: DictConfig, changes: dict[str, Any], reference: bool = False
) -> Spec:
    """A point: its own cache, its changes to the solver, one combination of its sweep."""
    parts = OmegaConf.create(
        {
            "cache": OmegaConf.to_container(node.cache),
            "solver": OmegaConf.to_container(OmegaConf.merge(cfg.solver, node.get("solver") or {})),
        }
    )
    try:
        for key, value in changes.items():
            if OmegaConf.select(parts, key, default=parts) is parts:
                raise UsageError(f"points.{name}: the sweep names {key}, which the point does not have")
            OmegaConf.update(parts, key, value)
        resolved: Config = OmegaConf.to_container(parts, resolve=True, throw_on_missing=True)  # type: ignore[assignment]
    except OmegaConfBaseException as error:
        raise UsageError(f"points.{name}: {_one_line(error)}") from error
    cache = resolved["cache"]
    return Spec(
        name=cache["label"] if name == "point" else name,
        order=order,
        label=cache.pop("label"),
        family=cache.pop("family"),
        solver=resolved["solver"],
        predictor=cache.pop("predictor"),
        cache=cache,
        num_samples=cfg.num_samples,
        seed=cfg.seed,
        reference=reference,
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
