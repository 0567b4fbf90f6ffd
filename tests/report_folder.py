"""A synthetic results folder for the report: 22 points in six families, tiny previews, latency."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SCORES = ("fd_nano@256", "is_nano@256", "agreement_nano@256", "psnr@256", "ssim@256")
KINDS = ["self_attn", "ff"] * 6
SITES = [f"blocks.{i // 2}.{kind}" for i, kind in enumerate(KINDS)]


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
    found: list[tuple[str, str, list[str] | None, float]] = [
        (f"no cache, {steps} steps", "no cache", every(1, steps), 1.3) for steps in (50, 40, 33, 26, 18)
    ]
    found += [(f"FORA N={n}", "FORA", every(n), 1.0) for n in (1, 2, 3, 4, 5)]
    found += [(f"FORA mirrored N={n}", "FORA mirrored", every(n)[::-1], 1.2) for n in (2, 3, 4)]
    found += [(f"SmoothCache a={a}", "SmoothCache", drifting(a), 0.7) for a in (0.04, 0.08, 0.18, 0.3, 0.5)]
    found += [(f"TaylorSeer N={n}", "TaylorSeer", every(n), 0.55) for n in (2, 3, 4)]
    return [*found, ("L2C router", "L2C", None, 1.0)]


def digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def score(value: float, half: float, higher: bool, delta: float | None, n: int) -> dict[str, Any]:
    def interval(v: float, h: float) -> dict[str, float]:
        return {"value": v, "se": h / 1.96, "low": v - h, "high": v + h}

    paired = None if delta is None else interval(delta, half / 4)
    return interval(value, half) | {
        "n": n, "higher_is_better": higher, "flag": None, "config_hash": digest(higher), "delta": paired,
    }  # fmt: skip


def quality(loss: float, reference: bool, rng: np.random.Generator, n: int) -> dict[str, Any]:
    """Five scores of a point that lost so much, 0 for the reference."""
    w = 16 / np.sqrt(n)
    lost = {"fd_nano": (1.9, 9.0, 0.12, False), "is_nano": (8.1, -2.2, 0.14, True)}
    lost["agreement_nano"] = (0.93, -0.22, 0.014, True)
    found = {}
    for name, (start, slope, half, higher) in lost.items():
        delta = slope * loss + rng.normal() * half * w / 5 if loss else 0.0
        found[f"{name}@{n}"] = score(start + delta, half * w, higher, None if reference else delta, n)
    if not reference:
        found[f"psnr@{n}"] = score(24 - 9 * np.log10(loss + 0.02), 0.5 * w, True, None, n)
        found[f"ssim@{n}"] = score(1 - 0.6 * loss**0.7, 0.012 * w, True, None, n)
    return found


def record(order: int, n: int, seeds: tuple[int, int]) -> dict[str, Any]:
    label, family, rows, badness = plans()[order]
    twin = label == "FORA N=1"
    rng = np.random.default_rng(0 if twin else order)
    computed = sum(row.count("1") for row in rows or [])
    share = (0.05 * len(rows) / 50 + 0.95 * computed / (50 * len(SITES))) if rows else None
    reference = order == 0
    loss = 0.0 if reference or twin or share is None else badness * (1 / share - 1) ** 1.5 / 14
    done = "done" if rows else "failed"
    return {
        "schema": 1, "experiment": "dit_ddim", "name": label.lower().replace(" ", "-"), "order": order,
        "label": label, "family": family, "point_id": digest(label, n, seeds),
        "sample_id": digest(rows, family == "TaylorSeer", seeds),
        "same_as": "no-cache,-50-steps" if twin else None,
        "reference": reference, "num_samples": n, "seed": 0, "seeds": list(seeds),
        "status": {"quality": done, "cost": done}, "degenerate": twin,
        "reason": None if rows else "router file has 20 steps, the schedule needs 50",
        "model": {"name": "dit_nano", "weights_sha256": "00" * 32, "dtype": "float32"},
        "solver": {"name": "ddim", "steps": len(rows or every(1))}, "predictor": "reuse",
        "schedule": {"sites": SITES, "kinds": KINDS, "rows": rows} if rows else None,
        "cost": {"macs": round(4.2e9 * share), "macs_linear": round(3.9e9 * share), "share": share,
                 "evals": len(rows or [])} if share else None,
        "scores": quality(loss, reference, rng, n) if rows else {}, "config": {},
        "provenance": {"time": f"2026-11-21T05:{order:02d}:00Z", "git": "ca9d3f5", "device": "cpu",
                       "versions": {"torch": "2.13.0"}},
    }  # fmt: skip


def save(folder: Path, content: dict[str, Any]) -> None:
    (folder / "records").mkdir(parents=True, exist_ok=True)
    path = folder / "records" / f"{content['name']}-{content['point_id']}.json"
    path.write_text(json.dumps(content), encoding="utf-8")


def edit(folder: Path, name: str, **changes: object) -> None:
    """Change a record in place."""
    path = next((folder / "records").glob(f"{name}-*.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def latency(records: list[dict[str, Any]]) -> dict[str, Any]:
    costed = [each for each in records if each["cost"]]
    drawn = [np.random.default_rng(each["order"]).normal(size=5) for each in costed]
    runs = [
        (0.25 + 1.1 * each["cost"]["share"]) * (1 + 0.01 * z) for each, z in zip(costed, drawn, strict=True)
    ]
    pair = [seconds for each, seconds in zip(costed, runs, strict=True) if each["reference"]] or runs
    points = {}
    for each, seconds in zip(costed, runs, strict=True):
        points[each["point_id"]] = {
            "reference_seconds": pair[0].tolist(),
            "name": each["name"], "seconds": seconds.tolist(), "median": float(np.median(seconds)),
            "mad": 0.008, "decode_median": 0.001, "peak_bytes": None, "cache_bytes": 40960,
        }  # fmt: skip
    return {
        "schema": 1, "device": "AMD EPYC", "kind": "cpu", "threads": 2, "batch_size": 8, "rounds": 5,
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
    for each in records:
        each["scores"] = {name: each["scores"][name] for name in names if name in each["scores"]}
        save(folder, each)
        if each["schedule"]:
            for seed in range(8):
                path = folder / "previews" / each["sample_id"] / f"{seed:09d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                preview(each["sample_id"], seed).save(path)
    (folder / "samples" / "abc").mkdir(parents=True)
    (folder / "samples" / "abc" / "0.png").write_bytes(b"large")
    (folder / "latency.json").write_text(json.dumps(latency(records)), encoding="utf-8")
    return folder
