"""Check the values of a configuration before anything is built; every mistake is one line."""

import math
import re
from pathlib import PurePath
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from smoothbench.errors import UsageError, shown
from smoothbench.json_checks import is_text
from smoothbench.paper_convention import Convention
from smoothbench.protocols import BLOCK

STAGES = ("all", "cost", "latency", "calibrate", "train", "tune")
SCORE_ON = ("device", "cpu")
TO_FILE = ("calibrate", "train")  # and nothing else
NODES = (
    "model",
    "solver",
    "cache",
    "metrics",
    "tune",
    "reference",
    "points",
    "calibration",
    "training",
    "latency",
)
OF_POINT = ("cache", "solver", "calibration", "at", "sweep", "published", "reported")
OF_REFERENCE = tuple(key for key in OF_POINT if key not in ("at", "sweep", "published"))
ALSO = {"dtype": ("float32", "bfloat16", "float16"), "mode": ("eager", "compiled"), "batch_size": ("1",)}
SHARED = (
    "experiment",
    "stage",
    "batch_size",
    "device",
    "score_on",
    "results_dir",
    "keep_samples",
    "force",
    "tf32",
    "out",
)
# what a run reads
KNOWN = (
    *NODES,
    *SHARED,
    "num_samples",
    "seed",
    "seeds",
    "shards",
    "shard",
    "only",
    "at",
    "loss",
    "paper",
    "report",
)
WHOLE = {  # keys that are whole numbers, and their bounds
    "num_samples": (2, BLOCK),
    "batch_size": (1, BLOCK),
    "seed": (0, 10**6),
    "calibration.seed": (0, 10**6),
    "calibration.draw": (0, BLOCK),
    "calibration.num_samples": (1, BLOCK),
    "calibration.k_max": (1, 1000),
    "training.seed": (0, 10**6),
    "training.trajectories": (1, BLOCK),
    "training.batch_size": (1, BLOCK),
    "latency.rounds": (0, 10**6),
    "latency.warmup": (0, 10**6),
    "latency.batch_size": (1, BLOCK),
}
OTHERS = (
    "calibration.unconditional",
    "training.latents",
    "training.dropout",
    "latency.device",
    "latency.also",
)


def check_json_serializable(value: Any, where: str) -> None:
    """Raise UsageError for what a record cannot hold: JSON has no such numbers, keys or objects."""
    if isinstance(value, dict):
        for key, inner in value.items():
            here = f"{where}.{shown(key)}".removeprefix(".")
            if not isinstance(key, str):
                raise UsageError(f"{here}: keys must be text")
            check_json_serializable(inner, here)
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            check_json_serializable(inner, f"{where}[{i}]")
    elif (
        not math.isfinite(value) if isinstance(value, float) else isinstance(value, int) and abs(value) >> 63
    ):
        raise UsageError(f"{where}={shown(value)}: numbers must be finite, and below 2^63 where whole")
    elif not isinstance(value, str | int | float | None) or re.search("[\ud800-\udfff]", str(value)):
        raise UsageError(f"{where}={value!r:.60}: must be text, a number, true, false or null")


def check(cfg: DictConfig) -> None:
    """Check all keys of a composed configuration but those of points; UsageError for the first that is wrong."""
    if missing := [key for key in KNOWN if key not in cfg]:
        raise UsageError(_missing(missing[0]))
    for key in NODES:
        if not isinstance(cfg[key], DictConfig):
            raise UsageError(f"{key}={shown(cfg[key])}: must be a node, as its YAML has it")
    if cfg.stage not in STAGES:
        raise UsageError(f"stage={shown(cfg.stage)}: there are {', '.join(STAGES)}")
    nested = [(key, *key.rpartition(".")) for key in (*WHOLE, *OTHERS) if "." in key]
    if missing := [key for key, node, _, name in nested if name not in cfg[node].keys()]:  # noqa: SIM118  null is there
        raise UsageError(_missing(missing[0]))
    for key in WHOLE:
        check_whole(key, OmegaConf.select(cfg, key))
    for key in ("calibration", "training", "latency"):
        known = [each.removeprefix(f"{key}.") for each in (*WHOLE, *OTHERS) if each.startswith(f"{key}.")]
        check_keys(cfg[key], tuple(known), key)
    for key in ("experiment", "device", "results_dir", "out"):
        if not (is_text(cfg[key]) and cfg[key]) and (key != "out" or cfg.out is not None):
            raise UsageError(f"{key}={shown(cfg[key])}: must be a name")
    folder = PurePath(cfg.experiment)
    if folder.is_absolute() or not folder.parts or ".." in folder.parts:
        raise UsageError(f"experiment={shown(cfg.experiment)}: must be a folder below results_dir/runs")
    for key in ("keep_samples", "force", "tf32"):
        if not isinstance(cfg[key], bool):
            raise UsageError(f"{key}={shown(cfg[key])}: must be true or false")
    if cfg.score_on not in SCORE_ON:
        raise UsageError(f"score_on={shown(cfg.score_on)}: there are {', '.join(SCORE_ON)}")
    _check_training(cfg.training)
    Convention.from_config(cfg.paper)
    _check_also(cfg.latency.also)
    if cfg.latency.device not in ("any", "cuda"):
        raise UsageError(f"latency.device={shown(cfg.latency.device)}: any or cuda")
    check_together(cfg)


def _missing(key: str) -> str:
    return f"{key} is missing, and every run needs it: do not delete it (~{key})"


def _check_training(node: DictConfig) -> None:
    if not (node.latents is None or (is_text(node.latents) and node.latents)):
        raise UsageError(f"training.latents={shown(node.latents)}: must be the name of an npz, or null")
    if (
        isinstance(node.dropout, bool)
        or not isinstance(node.dropout, int | float)
        or not 0 <= node.dropout <= 1
    ):
        raise UsageError(f"training.dropout={shown(node.dropout)}: must be a number from 0 to 1")


def _check_also(also: Any) -> None:
    """Check the further conditions of latency, which are lists of known values."""
    if not isinstance(also, DictConfig):
        raise UsageError(f"latency.also={shown(also)}: must be a node of lists ({', '.join(ALSO)})")
    check_keys(also, tuple(ALSO), "latency.also")
    for key, known in ALSO.items():
        values = also.get(key)
        if values is None:
            continue
        if not isinstance(values, ListConfig) or not values:
            raise UsageError(f"latency.also.{key}={shown(values)}: must be a list that is not empty")
        for value in values:
            if key == "batch_size":
                check_whole("latency.batch_size", value, "latency.also: ")
            elif value not in known:
                raise UsageError(f"latency.also.{key}={shown(value)}: there are {', '.join(known)}")


def check_together(cfg: DictConfig) -> None:
    """Raise UsageError for values that do not go together."""
    to_file = (*TO_FILE, "tune")
    if (cfg.stage in to_file) != (cfg.out is not None):
        raise UsageError(
            "out=FILE goes with stage=calibrate (*.npz or *.json), stage=tune (*.json) and stage=train "
            "(*.safetensors), and the other way round"
        )
    if (cfg.loss is not None) + (cfg.at is not None) != 1 and (cfg.stage == "tune" or cfg.loss is not None):
        raise UsageError("stage=tune takes one of at=0.4 (a share of the MACs) and 'loss=psnr>=35' (a bound)")
    if cfg.loss is not None and cfg.stage != "tune":
        raise UsageError(f"loss={shown(cfg.loss)}: goes with stage=tune")
    if cfg.points and cfg.stage in to_file:
        raise UsageError(
            f"stage={cfg.stage} takes one point (cache=...), not the experiment {cfg.experiment}"
        )
    if cfg.stage == "latency" and not cfg.latency.rounds:
        raise UsageError("latency.rounds=0: stage=latency would measure nothing")
    if cfg.training.seed in (cfg.seed, cfg.calibration.seed):
        raise UsageError(f"training.seed={cfg.training.seed}: must be a seed block of its own")


def check_keys(node: Any, known: tuple[str, ...], where: str) -> None:
    """Raise UsageError for the first key of a node that is not known."""
    if unknown := [key for key in node if key not in known]:
        raise UsageError(f"{where}.{shown(unknown[0])}: there are {', '.join(known)}")


def check_whole(key: str, value: Any, where: str = "") -> None:
    """Raise UsageError where the value of a key is no whole number within the bounds of that key."""
    least, most = WHOLE[key]
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise UsageError(f"{where}{key}={shown(value)}: must be a whole number from {least} to {most}")


def check_point(name: Any, node: Any, known: tuple[str, ...] = OF_POINT) -> None:
    """Raise UsageError where a point has an unknown key, or no node where it needs one."""
    if not is_text(name) or not isinstance(node, DictConfig):
        raise UsageError(f"points.{shown(name)}={shown(node)}: must be a node with a cache")
    check_keys(node, known, f"points.{name}")
    if node.get("sweep") and node.get("reported"):
        raise UsageError(f"points.{name}: a row that a paper reports is one point, without a sweep")
    for key in ("cache", "solver", "calibration", "published"):
        if not isinstance(node.get(key), DictConfig) and (key == "cache" or node.get(key) is not None):
            raise UsageError(f"points.{name}.{key}={shown(node.get(key))}: must be a node")
