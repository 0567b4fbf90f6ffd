"""A synthetic results folder for the report: 22 points in six families, tiny previews, latency."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from smoothbench.caching import ErrorCurves, Site, Trajectory
from smoothbench.storage.files import load_json
from smoothbench.storage.record_files import record_stem
from tests.support.report_scores import digest, entry, scored

SCORES = tuple(
    f"{name}@256"
    for name in ("fd_nano", "is_nano", "agreement_nano", "fd_effnet", "psnr", "ssim", "dist_nano")
)
CALIBRATION: dict[str, Any] = {
    "seed": 999, "draw": 0, "num_samples": 3, "k_max": 2, "digest": "ab" * 32,
    "file": "curves/0123456789ab.npz",
}  # fmt: skip
KINDS = ["self_attn", "ff"] * 6
SITES = [f"blocks.{i // 2}.{kind}" for i, kind in enumerate(KINDS)]
DRAWN = ("headline", "pareto_macs", "pareto_latency", "error_curves", "composition")
RENDERED = {"report.md", "report.html", "table.csv", "table.tex", "schedules.png", "contact_sheet.png"}
RENDERED |= {f"{name}.png" for name in DRAWN}  # files of a report


def every(interval: int, evals: int = 50) -> list[str]:
    return [("1" if e % interval == 0 else "0") * len(SITES) for e in range(evals)]


def drifting(alpha: float) -> list[str]:
    """A schedule that differs between kinds and gets sparser in the middle, as calibrated ones do."""
    gaps = 1 + alpha * 12 * np.sin(np.linspace(0, np.pi, 50))
    attn, ff = np.floor(np.cumsum(1 / gaps)), np.floor(np.cumsum(1 / (1 + 0.6 * (gaps - 1))))
    bits = [[str(int(e in (0, 49) or c[e] != c[e - 1])) for e in range(50)] for c in (attn, ff)]
    return [(bits[0][e] + bits[1][e]) * (len(SITES) // 2) for e in range(50)]


def plans() -> list[tuple[str, str, list[str] | None, float]]:
    """Label, family, schedule (None: it failed) and how much worse than the schedule alone it is."""
    points: list[tuple[str, str, list[str] | None, float]] = [
        (f"no cache, {steps} steps", "no cache", every(1, steps), 1.3) for steps in (50, 40, 33, 26, 18)
    ]
    points += [(f"FORA N={n}", "FORA", every(n), 1.0) for n in (1, 2, 3, 4, 5)]
    points += [(f"FORA mirrored N={n}", "FORA mirrored", every(n)[::-1], 1.2) for n in (2, 3, 4)]
    points += [(f"SmoothCache a={a}", "SmoothCache", drifting(a), 0.7) for a in (0.04, 0.08, 0.18, 0.3, 0.5)]
    points += [(f"TaylorSeer N={n}", "TaylorSeer", every(n), 0.55) for n in (2, 3, 4)]
    return [*points, ("L2C router", "L2C", None, 1.0)]


def record(order: int, n: int, seeds: tuple[int, int]) -> dict[str, Any]:
    """A record of one range of seeds."""
    label, family, rows, _ = plans()[order]
    twin, reference, (share, loss) = label == "FORA N=1", order == 0, lost(order)
    done = "done" if rows else "failed"
    scores = scored(order, n, loss, reference) if rows else {}
    return {
        "schema": 3, "experiment": "dit_ddim", "name": label.lower().replace(" ", "-"), "order": order,
        "label": label, "family": family, "point_id": digest(label, n, seeds), "cell_id": digest(label),
        "sample_id": digest(rows, family == "TaylorSeer", seeds), "parts": [],
        "same_as": "no-cache,-50-steps" if twin else None,
        "reference": reference, "reference_id": digest(every(1), False, seeds),
        "num_samples": n, "per_block": n, "seeds": [list(seeds)],
        "status": {"quality": done, "cost": done}, "degenerate": twin,
        "reason": None if rows else "router file has 20 steps, the schedule needs 50",
        "model": {"name": "dit_nano", "weights_sha256": "00" * 32, "dtype": "float32", "guidance": 2.0},
        "numerics": {"dtype": "float32", "tf32_matmul": False, "tf32_cudnn": True},
        "solver": {"name": "ddim", "steps": len(rows or every(1))}, "predictor": "reuse",
        "calibration": CALIBRATION if family == "SmoothCache" else None,
        "schedule": {"sites": SITES, "kinds": KINDS, "rows": rows} if rows else None,
        "cost": cost(rows, share) if rows else None,
        "scores": {
            name: entry(own, higher, pair) | {"metric": {"name": name.partition("_")[0], "version": 1}}
            for name, (own, pair, higher) in scores.items()
        },
        "config": {"metrics": {name.partition("@")[0]: {"encoder": {"_target_": "some.encoder"}} for name in scores}},
        "provenance": {"time": f"2026-11-21T05:{order:02d}:00Z", "git": "ca9d3f5", "device": "cpu",
                       "versions": {"torch": "2.13.0"}},
    }  # fmt: skip


def lost(order: int) -> tuple[float, float]:
    """A point's share of MACs and how much worse that made it."""
    label, _, rows, badness = plans()[order]
    if rows is None:
        return math.nan, math.nan
    computed = sum(row.count("1") for row in rows)
    share = 0.05 * len(rows) / 50 + 0.95 * computed / (50 * len(SITES))
    same = order == 0 or label == "FORA N=1"
    return share, 0.0 if same else badness * (1 / share - 1) ** 1.5 / 14


def cost(rows: list[str], share: float) -> dict[str, Any]:
    macs = round(4.2e9 * share)
    rest = round(4.2e9 * 0.05 * len(rows) / 50)
    attn = (macs - rest) // 3
    return {
        "macs": macs, "macs_linear": round(3.9e9 * share), "share": share, "evals": len(rows),
        "by_kind": {"self_attn": attn, "ff": macs - rest - attn, "rest": rest},
    }  # fmt: skip


def pooled(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """The record that merges others of one point; their scores are of as many samples each."""
    n = sum(part["num_samples"] for part in parts)
    first = record(parts[0]["order"], n, (0, n))
    ids = [part["point_id"] for part in parts]
    scores = {}
    for name in parts[0]["scores"]:
        stem, values = name.partition("@")[0], [part["scores"][name]["value"] for part in parts]
        scores[f"{stem}@{n}"] = first["scores"][f"{stem}@{n}"] | {"blocks": values}
    return first | {
        "point_id": digest(ids), "sample_id": parts[0]["sample_id"], "parts": ids, "scores": scores,
        "reference_id": digest([part["reference_id"] for part in parts]),
        "seeds": [each for part in parts for each in part["seeds"]],
    }  # fmt: skip


def build_pooled(
    folder: Path, orders: Sequence[int], blocks: int = 3, n: int = 64, names: Sequence[str] = ("fd_nano",)
) -> Path:
    """A results folder with pooled points beside the records of their parts."""
    for order in orders:
        parts = []
        for block in range(blocks):
            part = record(order, n, (block * 10**6, block * 10**6 + n))
            part["scores"] = {f"{name}@{n}": part["scores"][f"{name}@{n}"] for name in names}
            for score_entry in part["scores"].values():  # blocks differ as their errors say
                score_entry["value"] += (
                    float(np.random.default_rng([order, block]).normal()) * score_entry["se"]
                )
            parts.append(part)
            save(folder, part)
            save_previews(folder, part)
        save(folder, pooled(parts))
    return folder


def save(folder: Path, content: dict[str, Any]) -> None:
    (folder / "records").mkdir(parents=True, exist_ok=True)
    path = folder / "records" / f"{content['name']}-{content['point_id']}.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    if content["scores"]:
        save_scores(folder / "scores" / f"{path.stem}.npz", content)


def save_scores(path: Path, content: dict[str, Any]) -> None:
    """The influences that the scores of a record came from, as float32."""
    n, order = content["num_samples"], content["order"]
    by_name = scored(order, n, lost(order)[1], content["reference"])
    arrays: Any = {
        name: by_name[name][0].influence.astype(np.float32) for name in content["scores"] if name in by_name
    }
    seeds = np.concatenate([np.arange(first, stop) for first, stop in content["seeds"]])
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, seeds=seeds, **arrays)


def save_previews(folder: Path, content: dict[str, Any]) -> None:
    first = content["seeds"][0][0]
    for seed in range(first, first + 8):
        path = folder / "previews" / content["sample_id"] / f"{seed:09d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        preview(content["sample_id"], seed).save(path)


def save_curves(folder: Path) -> None:
    """Error curves of the points with a calibration: 3 samples, 2 lags."""
    sites = tuple(Site(name, kind, name, macs=1) for name, kind in zip(SITES, KINDS, strict=True))
    rng = torch.Generator().manual_seed(0)
    l1_diff = 0.1 + 0.05 * torch.rand(3, len(sites), 50, 2, generator=rng, dtype=torch.float64)
    for lag in (1, 2):
        l1_diff[:, :, :lag, lag - 1] = torch.nan
    curves = ErrorCurves(
        Trajectory(sites, tuple(np.linspace(980, 0, 50))), l1_diff, torch.ones(3, 12, 50).double()
    )
    path = folder / CALIBRATION["file"]
    path.parent.mkdir(parents=True, exist_ok=True)
    curves.save(path)


def edit(folder: Path, name: str, **changes: object) -> None:
    """Change a record in place; a packed one becomes a plain one."""
    path = next((folder / "records").glob(f"{name}-*.json*"))
    content = load_json(path)
    path.unlink()
    path.with_name(f"{record_stem(path)}.json").write_text(json.dumps(content | changes))


def made(delta: float, p: float) -> dict[str, Any]:
    """A score of a record, lower is better, whose difference has this p."""
    entry = {"value": 2.0, "se": 0.1, "low": 1.8, "high": 2.2, "n": 256, "flag": None, "config_hash": "0"}
    paired = {"value": delta, "se": 0.05, "low": delta - 0.1, "high": delta + 0.1, "p": p}
    return entry | {"higher_is_better": False, "quantiles": None, "blocks": None, "delta": paired}


def latency(records: list[dict[str, Any]]) -> dict[str, Any]:
    costed = [each for each in records if each["cost"]]
    drawn = [np.random.default_rng(each["order"]).normal(size=5) for each in costed]
    runs = [
        (0.25 + 1.1 * each["cost"]["share"]) * (1 + 0.01 * z) for each, z in zip(costed, drawn, strict=True)
    ]
    pair = [seconds for each, seconds in zip(costed, runs, strict=True) if each["reference"]] or runs
    points = {}
    for each, seconds in zip(costed, runs, strict=True):
        points[each["cell_id"]] = {
            "reference_seconds": pair[0].tolist(),
            "name": each["name"], "seconds": seconds.tolist(), "median": float(np.median(seconds)),
            "mad": 0.008, "decode_median": 0.001, "peak_bytes": None, "cache_bytes": 40960,
        }  # fmt: skip
    return {
        "schema": 3, "device": "AMD EPYC", "kind": "cpu", "threads": 2, "batch_size": 8, "rounds": 5,
        "warmup": 1, "provenance": {}, "points": points,
    }  # fmt: skip


def preview(sample_id: str, seed: int) -> Image.Image:
    """A blob whose place is the seed's and whose blur is the point's: 28 x 28 grey."""
    y, x = np.mgrid[:28, :28]
    rng = np.random.default_rng(seed)
    centre, width = rng.uniform(9, 19, 2), 20 + int(sample_id[:2], 16) / 4
    blob = np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / width)
    return Image.fromarray((255 * blob).astype(np.uint8))


def build(folder: Path, orders: Sequence[int], names: Sequence[str] = SCORES) -> Path:
    """A results folder with the points of these places in `plans()` and scores of these names."""
    records = [record(order, 256, (0, 256)) for order in orders]
    for content in records:
        content["scores"] = {name: content["scores"][name] for name in names if name in content["scores"]}
        save(folder, content)
        if content["schedule"]:
            save_previews(folder, content)
    if any(content["calibration"] for content in records):
        save_curves(folder)
    (folder / "samples" / "abc").mkdir(parents=True)
    (folder / "samples" / "abc" / "0.png").write_bytes(b"large")
    (folder / "latency.json").write_text(json.dumps(latency(records)), encoding="utf-8")
    return folder
