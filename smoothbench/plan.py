"""From a composed configuration to the points of an experiment."""

import itertools
import re
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from smoothbench.errors import UsageError, one_line
from smoothbench.types import BLOCK, Config, Settings, Spec

STAGES = ("all", "cost", "calibrate")
SHARED = ("experiment", "stage", "batch_size", "device", "results_dir", "keep_samples", "force", "out")
WHOLE = {  # keys that are whole numbers, and their bounds
    "num_samples": (2, BLOCK),
    "batch_size": (1, BLOCK),
    "seed": (0, 10**6),
    "calibration.seed": (0, 10**6),
    "calibration.draw": (0, BLOCK),
    "calibration.num_samples": (1, BLOCK),
    "calibration.k_max": (1, 1000),
    "latency.rounds": (0, 10**6),
    "latency.warmup": (0, 10**6),
    "latency.batch_size": (1, BLOCK),
}


def settings(cfg: DictConfig) -> Settings:
    """Check what can be checked without building anything, and expand the grid.

    The reference (no cache at the solver's full steps) comes first, also where nobody asked for it.
    Raises UsageError for values out of range and names that do not exist.
    """
    _check(cfg)
    plain = _plain(cfg, ("model", "metrics", "latency"))
    return Settings(**plain, **{key: cfg[key] for key in SHARED}, specs=_specs(cfg))


def _plain(cfg: DictConfig, keys: tuple[str, ...]) -> dict[str, Any]:
    try:
        whole = OmegaConf.create({key: OmegaConf.to_container(cfg[key]) for key in keys})
        resolved = OmegaConf.to_container(whole, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise UsageError(one_line(error)) from error
    assert isinstance(resolved, dict)
    return {str(key): value for key, value in resolved.items()}


def _check(cfg: DictConfig) -> None:
    if cfg.stage not in STAGES:
        raise UsageError(f"stage={cfg.stage}: there are {', '.join(STAGES)}")
    for key in WHOLE:
        _check_whole(key, OmegaConf.select(cfg, key))
    for key in ("experiment", "device", "results_dir"):
        if not isinstance(cfg[key], str) or not cfg[key]:
            raise UsageError(f"{key}={cfg[key]}: must be a name")
    for key in ("keep_samples", "force"):
        if not isinstance(cfg[key], bool):
            raise UsageError(f"{key}={cfg[key]}: must be true or false")
    if (cfg.stage == "calibrate") != (cfg.out is not None):
        raise UsageError("out=FILE.npz or out=FILE.json goes with stage=calibrate, and the other way round")
    if cfg.points and cfg.stage == "calibrate":
        raise UsageError(f"stage=calibrate takes one point (cache=...), not the experiment {cfg.experiment}")
    if cfg.points and cfg.cache != cfg.reference.cache:
        raise UsageError(
            f"{cfg.experiment} has its own points, so cache=... does nothing: see only= and points.*"
        )


def _check_whole(key: str, value: Any, where: str = "") -> None:
    least, most = WHOLE[key]
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise UsageError(f"{where}{key}={value}: must be a whole number from {least} to {most}")


def _seeds(cfg: DictConfig) -> range:
    """The seeds of this run: those of the block, or the part `seeds=a-b` of them, both ends included."""
    first, last = 0, cfg.num_samples - 1
    if cfg.seeds is not None:
        found = re.fullmatch(r"(\d+)-(\d+)", str(cfg.seeds))
        if not found or not first <= int(found[1]) < int(found[2]) <= last:
            raise UsageError(
                f"seeds={cfg.seeds}: must be a part a-b of the block, both ends included, "
                f"of at least 2 of its num_samples={cfg.num_samples} (0-{last})"
            )
        first, last = int(found[1]), int(found[2])
    return range(cfg.seed * BLOCK + first, cfg.seed * BLOCK + last + 1)


def _specs(cfg: DictConfig) -> list[Spec]:
    reference = _spec(cfg, "reference", 0, cfg.reference, {}, reference=True)
    points = list(cfg.points.items()) or [("point", OmegaConf.create({"cache": cfg.cache}))]
    wanted = _wanted(cfg, [str(name) for name, _ in points])
    specs, order = [reference], 0
    for name, node in points:
        for suffix, changes in _combinations(name, node.get("sweep") or {}):
            order += 1  # counted over all points, so that a part of them keeps its places
            spec = _spec(cfg, f"{name}{suffix}", order, node, changes)
            if name in wanted and (spec.solver, spec.cache) != (reference.solver, reference.cache):
                specs.append(spec)
    return specs


def _wanted(cfg: DictConfig, names: list[str]) -> list[str]:
    if cfg.only is None:
        return names
    wanted = list(cfg.only) if isinstance(cfg.only, ListConfig) else [cfg.only]
    if unknown := [name for name in wanted if name not in names]:
        raise UsageError(f"only={unknown[0]}: {cfg.experiment} has the points {', '.join(names)}")
    return wanted


def _combinations(point: str, sweep: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every combination of a sweep's values, with the part that it adds to the point's name."""
    if not isinstance(sweep, dict | DictConfig) or not all(
        isinstance(v, list | ListConfig) for v in sweep.values()
    ):
        raise UsageError(f"points.{point}.sweep must map keys to lists of values, not {sweep}")
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
            **{
                key: OmegaConf.to_container(OmegaConf.merge(cfg[key], node.get(key) or {}))
                for key in ("solver", "calibration")
            },
        }
    )
    try:
        for key, value in changes.items():
            if OmegaConf.select(parts, key, default=parts) is parts:
                raise UsageError(f"points.{name}: the sweep names {key}, which the point does not have")
            OmegaConf.update(parts, key, value)
        resolved: Config = OmegaConf.to_container(parts, resolve=True, throw_on_missing=True)  # type: ignore[assignment]
    except OmegaConfBaseException as error:
        raise UsageError(f"points.{name}: {one_line(error)}") from error
    cache = resolved["cache"]
    if not (
        isinstance(cache.get("label"), str) and isinstance(cache.get("family"), str) and "predictor" in cache
    ):
        raise UsageError(
            f"points.{name}.cache must have a label, a family and a predictor, beside its _target_"
        )
    calibration = _calibration(cfg, name, resolved["calibration"])
    return Spec(
        name=cache["label"] if name == "point" else name,
        order=order,
        label=cache.pop("label"),
        family=cache.pop("family"),
        solver=resolved["solver"],
        predictor=cache.pop("predictor"),
        cache=cache,
        calibration=calibration,
        seeds=_seeds(cfg),
        per_block=cfg.num_samples,
        reference=reference,
    )


def _calibration(cfg: DictConfig, name: str, node: Config) -> Config:
    """A point's calibration, whose seed block must not be that of the samples."""
    for key in (key for key in WHOLE if key.startswith("calibration.")):
        _check_whole(key, node.get(key.removeprefix("calibration.")), f"points.{name}: ")
    if node["seed"] == cfg.seed:
        raise UsageError(f"seed={cfg.seed} is the seed block of the calibration, which must be disjoint")
    if (node["draw"] + 1) * node["num_samples"] > BLOCK:
        raise UsageError(f"points.{name}: calibration.draw={node['draw']} is past the end of its seed block")
    return node
