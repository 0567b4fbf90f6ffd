"""Records of schema 3 with error curves, composition and calibration, for the pictures and the studies."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from smoothbench.caching import ErrorCurves, Site, SmoothCache, Trajectory
from smoothbench.storage.record_parts import RecordedSchedule

KINDS = ("self_attn", "ff")
SITES = tuple(Site(f"blocks.{b}.{kind}", kind, "", None, 100, 90) for b in range(2) for kind in KINDS)


def curves_of(samples: int, evals: int = 12, seed: int = 0, noise: float = 0.1) -> ErrorCurves:
    """Curves that rise with the lag and dip in the middle of the trajectory, differing between samples."""
    rng = np.random.default_rng(seed)
    shape = 0.05 + 0.1 * np.abs(np.linspace(-1, 1, evals))[:, None] * np.arange(1, 4)
    values = shape * np.exp(noise * rng.normal(size=(samples, len(SITES), evals, 3)))
    for lag in range(1, 4):
        values[:, :, :lag, lag - 1] = np.nan
    norms = np.exp(0.2 * rng.normal(size=(samples, len(SITES), evals)))
    trajectory = Trajectory(SITES, tuple(map(float, range(evals, 0, -1))), 40, 40)
    return ErrorCurves(trajectory, torch.from_numpy(values * norms[..., None]), torch.from_numpy(norms))


def calibration(folder: Path, curves: ErrorCurves, draw: int = 0) -> dict[str, Any]:
    """Save the curves and say of them what a record does."""
    name = f"curves/{curves.digest()[:12]}.npz"
    (folder / "curves").mkdir(parents=True, exist_ok=True)
    curves.save(folder / name)
    stated = {"seed": 999, "draw": draw, "num_samples": len(curves.l1), "k_max": 3}
    return stated | {"digest": curves.digest(), "file": name, "spread": curves.between_sample_cv()}


def smoothcache(curves: ErrorCurves, alpha: float) -> dict[str, Any]:
    """The schedule of a record, planned on the curves."""
    return RecordedSchedule.of(SmoothCache(alpha).plan(curves.trajectory, curves)).to_json()


def fixed(evals: int, interval: int = 1) -> dict[str, Any]:
    rows = [("1" if e % interval == 0 else "0") * len(SITES) for e in range(evals)]
    return {"sites": [s.name for s in SITES], "kinds": [s.kind for s in SITES], "rows": rows, "meta": {}}


def score(value: float, half: float, higher: bool, paired: bool) -> dict[str, Any]:
    estimate = {"value": value, "se": half / 2, "low": value - half, "high": value + half}
    stated = {"n": 64, "higher_is_better": higher, "flag": None, "config_hash": "", "quantiles": None}
    return estimate | stated | {"blocks": None, "delta": estimate | {"p": 0.5} if paired else None}


def scores_of(loss: float, reference: bool) -> dict[str, Any]:
    scores = {"fd_nano@64": score(2.0 + loss, 0.05, False, not reference)}
    scores |= {"fd_inf_nano@64": score(1.9 + loss, 0.05, False, not reference)}
    if not reference:
        scores["psnr@64"] = score(30 - 4 * loss, 0.3, True, False)
        scores["dist_nano@64"] = score(0.1 * loss, 0.01, False, False)
    return scores


def add(folder: Path, name: str, schedule: dict[str, Any], loss: float = 0.0, **changes: Any) -> None:
    """Write a record of schema 3; a point without loss is the reference."""
    evals = len(schedule["rows"])
    counts = dict.fromkeys(KINDS, 0)
    for row in schedule["rows"]:
        for bit, site in zip(row, SITES, strict=True):
            counts[site.kind] += 100 * int(bit)
    by_kind = counts | {"rest": 40 * evals}
    macs, full = sum(by_kind.values()), 440 * changes.pop("full_evals", evals)
    steps = {"name": changes.pop("solver", "ddim"), "steps": evals}
    model = {"name": "dit_nano", "weights_sha256": "0", "guidance": changes.pop("guidance", 2.0)}
    setting = hashlib.sha256(f"{model}{steps}".encode()).hexdigest()[:12]
    point = hashlib.sha256(f"{name}{setting}".encode()).hexdigest()[:12]
    record = {
        "schema": 3, "experiment": folder.name, "name": f"{name}-{setting}", "order": 0, "label": name,
        "family": "SmoothCache" if schedule["meta"] else "FORA" if loss else "no cache",
        "point_id": point, "cell_id": point, "sample_id": point, "same_as": None, "parts": [],
        "reference": loss == 0, "reference_id": setting, "num_samples": 64, "per_block": 64, "seeds": [[0, 64]],
        "status": {"quality": "done", "cost": "done"}, "reason": None, "degenerate": False, "model": model,
        "solver": steps, "predictor": "reuse", "schedule": schedule, "calibration": None, "numerics": {},
        "cost": {"macs": macs, "macs_linear": macs, "share": macs / full, "evals": evals, "by_kind": by_kind},
        "scores": scores_of(loss, loss == 0), "config": {}, "provenance": {"device": "cpu"},
    }  # fmt: skip
    path = folder / "records" / f"{name}-{point}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record | changes))
