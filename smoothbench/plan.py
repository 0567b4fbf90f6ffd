"""From a composed configuration to the points of an experiment."""

import itertools
import math
import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from smoothbench.errors import UsageError, one_line
from smoothbench.types import BLOCK, Config, Settings, Spec

STAGES = ("all", "cost", "calibrate")
NODES = ("model", "solver", "cache", "metrics", "reference", "points", "calibration", "latency")
OF_POINT = ("cache", "solver", "calibration", "sweep")
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

    The reference (no cache at the full steps) comes first, asked for or not. UsageError for bad values.
    """
    try:
        _check(cfg)
        plain = _plain(cfg, ("model", "metrics", "latency"))
        return Settings(**plain, **{key: cfg[key] for key in SHARED}, specs=_specs(cfg))
    except OmegaConfBaseException as error:
        raise UsageError(one_line(error)) from error


def _plain(cfg: DictConfig, keys: tuple[str, ...]) -> dict[str, Any]:
    whole = OmegaConf.create({key: OmegaConf.to_container(cfg[key]) for key in keys})
    resolved = OmegaConf.to_container(whole, resolve=True, throw_on_missing=True)
    assert isinstance(resolved, dict)
    _check_sayable(resolved, "")
    return {str(key): value for key, value in resolved.items()}


def _shown(value: Any) -> str:
    """A value in a message: one line, and not a long one."""
    try:
        return re.sub(r"(.{57}).{4,}", r"\1...", " ".join(str(value).split()))
    except ValueError:  # a number of thousands of digits
        return f"a very large {type(value).__name__}"


def _check_sayable(value: Any, where: str) -> None:
    """UsageError for what a record could not hold: JSON has no such numbers, keys or objects."""
    if isinstance(value, dict):
        for key, each in value.items():
            here = f"{where}.{_shown(key)}".removeprefix(".")
            if not isinstance(key, str):
                raise UsageError(f"{here}: keys must be text")
            _check_sayable(each, here)
    elif isinstance(value, list):
        for i, each in enumerate(value):
            _check_sayable(each, f"{where}[{i}]")
    elif (
        not math.isfinite(value) if isinstance(value, float) else isinstance(value, int) and abs(value) >> 63
    ):
        raise UsageError(f"{where}={_shown(value)}: numbers must be finite, and below 2^63 where whole")
    elif not isinstance(value, str | int | float | None) or re.search("[\ud800-\udfff]", str(value)):
        raise UsageError(f"{where}={value!r:.60}: must be text, a number, true, false or null")


def _is_text(value: Any) -> bool:
    """Text that UTF-8 can say, without control characters."""
    return isinstance(value, str) and not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", value)


def _check(cfg: DictConfig) -> None:
    for key in NODES:
        if not isinstance(cfg[key], DictConfig):
            raise UsageError(f"{key}={_shown(cfg[key])}: must be a node, as its YAML has it")
    if cfg.stage not in STAGES:
        raise UsageError(f"stage={_shown(cfg.stage)}: there are {', '.join(STAGES)}")
    for key in WHOLE:
        _check_whole(key, OmegaConf.select(cfg, key))
    for key in ("calibration", "latency"):
        _check_keys(cfg[key], tuple(each.removeprefix(f"{key}.") for each in WHOLE if key in each), key)
    for key in ("experiment", "device", "results_dir", "out"):
        if not (_is_text(cfg[key]) and cfg[key]) and (key != "out" or cfg.out is not None):
            raise UsageError(f"{key}={_shown(cfg[key])}: must be a name")
    folder = PurePath(cfg.experiment)
    if folder.is_absolute() or not folder.parts or ".." in folder.parts:
        raise UsageError(f"experiment={_shown(cfg.experiment)}: must be a folder below results_dir/runs")
    for key in ("keep_samples", "force"):
        if not isinstance(cfg[key], bool):
            raise UsageError(f"{key}={_shown(cfg[key])}: must be true or false")
    _check_together(cfg)


def _check_together(cfg: DictConfig) -> None:
    """What does not go together."""
    if (cfg.stage == "calibrate") != (cfg.out is not None):
        raise UsageError("out=FILE.npz or out=FILE.json goes with stage=calibrate, and the other way round")
    if cfg.points and cfg.stage == "calibrate":
        raise UsageError(f"stage=calibrate takes one point (cache=...), not the experiment {cfg.experiment}")
    if cfg.points and cfg.cache != cfg.reference.cache:
        raise UsageError(
            f"{cfg.experiment} has its own points, so cache=... does nothing: see only= and points.*"
        )


def _check_keys(node: Any, known: tuple[str, ...], where: str) -> None:
    if unknown := [key for key in node if key not in known]:
        raise UsageError(f"{where}.{_shown(unknown[0])}: there are {', '.join(known)}")


def _check_whole(key: str, value: Any, where: str = "") -> None:
    least, most = WHOLE[key]
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise UsageError(f"{where}{key}={_shown(value)}: must be a whole number from {least} to {most}")


def _seeds(cfg: DictConfig) -> range:
    """The seeds of this run: those of the block, or the part `seeds=a-b` of them, both ends included."""
    first, last = 0, cfg.num_samples - 1
    if cfg.seeds is not None:
        found = re.fullmatch(r"([0-9]{1,7})-([0-9]{1,7})", _shown(cfg.seeds))
        if not found or not first <= int(found[1]) < int(found[2]) <= last:
            raise UsageError(
                f"seeds={_shown(cfg.seeds)}: must be a part a-b of the block, both ends included, "
                f"of at least 2 of its num_samples={cfg.num_samples} (0-{last})"
            )
        first, last = int(found[1]), int(found[2])
    return range(cfg.seed * BLOCK + first, cfg.seed * BLOCK + last + 1)


def _specs(cfg: DictConfig) -> list[Spec]:
    _check_point("reference", cfg.reference)
    reference = _spec(cfg, "reference", 0, cfg.reference, {}, reference=True)
    points = list(cfg.points.items()) or [("point", OmegaConf.create({"cache": cfg.cache}))]
    wanted = _wanted(cfg, [str(name) for name, _ in points])
    specs, order = [reference], 0
    for name, node in points:
        _check_point(name, node)
        for suffix, changes in _combinations(name, node.get("sweep") or {}):
            order += 1  # counted over all points, so that a part of them keeps its places
            spec = _spec(cfg, f"{name}{suffix}", order, node, changes)
            if name in wanted and (spec.solver, spec.cache) != (reference.solver, reference.cache):
                specs.append(spec)
    return specs


def _check_point(name: Any, node: Any) -> None:
    if not _is_text(name) or not isinstance(node, DictConfig):
        raise UsageError(f"points.{_shown(name)}={_shown(node)}: must be a node with a cache")
    _check_keys(node, OF_POINT, f"points.{name}")
    for key in ("cache", "solver", "calibration"):
        if not isinstance(node.get(key), DictConfig) and (key == "cache" or node.get(key) is not None):
            raise UsageError(f"points.{name}.{key}={_shown(node.get(key))}: must be a node")


def _wanted(cfg: DictConfig, names: list[str]) -> list[str]:
    if cfg.only is None:
        return names
    wanted = list(cfg.only) if isinstance(cfg.only, ListConfig) else [cfg.only]
    if unknown := [name for name in wanted if name not in names]:
        raise UsageError(f"only={_shown(unknown[0])}: {cfg.experiment} has the points {', '.join(names)}")
    return wanted


def _combinations(point: str, sweep: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every combination of a sweep's values, with the part that it adds to the point's name."""
    if not isinstance(sweep, dict | DictConfig) or not all(
        isinstance(key, str) and isinstance(values, list | ListConfig) and values
        for key, values in sweep.items()
    ):
        raise UsageError(f"points.{point}.sweep must map keys to lists of values, not {_shown(sweep)}")
    keys = list(sweep)
    for values in itertools.product(*(sweep[key] for key in keys)):
        suffix = "".join(
            f"-{key.split('.')[-1]}={_shown(value)}" for key, value in zip(keys, values, strict=True)
        )
        yield suffix, dict(zip(keys, values, strict=True))


def _spec(
    cfg: DictConfig, name: str, order: int, node: DictConfig, changes: dict[str, Any], reference: bool = False
) -> Spec:
    """A point: its own cache, its changes to the solver, one combination of its sweep."""
    resolved = _parts(cfg, name, node, changes)
    cache = resolved["cache"]
    for key in ("label", "family"):
        if not _is_text(cache.get(key)) or not 0 < len(cache[key]) <= 400:
            raise UsageError(f"points.{name}.cache must have a {key}, a line of text (at most 400 letters)")
    if "predictor" not in cache:
        raise UsageError(f"points.{name}.cache must have a predictor (reuse, taylor1, ...)")
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


def _parts(cfg: DictConfig, name: str, node: DictConfig, changes: dict[str, Any]) -> Config:
    """The cache, solver and calibration of a point, resolved."""
    try:
        parts = OmegaConf.create({"cache": OmegaConf.to_container(node.cache)})
        for key in ("solver", "calibration"):
            parts[key] = OmegaConf.to_container(OmegaConf.merge(cfg[key], node.get(key) or {}))
        for key, value in changes.items():
            if OmegaConf.select(parts, key, default=parts) is parts:
                raise UsageError(f"points.{name}: the sweep names {key}, which the point does not have")
            OmegaConf.update(parts, key, value)
        resolved: Config = OmegaConf.to_container(parts, resolve=True, throw_on_missing=True)  # type: ignore[assignment]
    except OmegaConfBaseException as error:
        raise UsageError(f"points.{name}: {one_line(error)}") from error
    for key, value in resolved.items():
        if not isinstance(value, dict):
            raise UsageError(f"points.{name}.{key}={_shown(value)}: must be a node")
    _check_sayable(resolved, f"points.{name}")
    return resolved


def _calibration(cfg: DictConfig, name: str, node: Config) -> Config:
    """A point's calibration, whose seed block must not be that of the samples."""
    for key in (key for key in WHOLE if key.startswith("calibration.")):
        _check_whole(key, node.get(key.removeprefix("calibration.")), f"points.{name}: ")
    if node["seed"] == cfg.seed:
        raise UsageError(f"seed={cfg.seed} is the seed block of the calibration, which must be disjoint")
    if (node["draw"] + 1) * node["num_samples"] > BLOCK:
        raise UsageError(f"points.{name}: calibration.draw={node['draw']} is past the end of its seed block")
    return node
