"""Made-up scores of a point, with influences that share as much with the reference's as its loss allows."""

import hashlib
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.inference import Estimate, paired_difference
from metrics.score import Score

TAILS = {"0.01": -2.3, "0.05": -1.6, "0.5": 0.0, "0.95": 1.6, "0.99": 2.3}
# Start, slope with the loss, half width at N = 256, direction.
REAL = {"fd_nano": (1.9, 9.0, 0.12, False), "is_nano": (8.1, -2.2, 0.14, True)}
REAL |= {"agreement_nano": (0.93, -0.22, 0.014, True), "fd_effnet": (20.0, 60.0, 1.1, False)}
# Half width and direction.
CLOSE = {"psnr": (0.5, True), "ssim": (0.012, True), "dist_nano": (0.01, False)}


def digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def influences(order: int, n: int, se: float, spread: float) -> NDArray[np.float64]:
    """Influences [n] with this se, of which `spread` says how little they share with other points'."""
    shared, alone = (np.random.default_rng([seed, n]).normal(size=n) for seed in (99, order))
    mixed = np.sqrt(1 - spread**2) * shared + spread * alone
    return se * np.sqrt(n) * (mixed - mixed.mean()) / mixed.std(ddof=1)


def interval(estimate: Estimate) -> dict[str, float]:
    return {"value": estimate.value, "se": estimate.se, "low": estimate.low, "high": estimate.high}


def entry(score: Score, higher: bool, reference: Score | None) -> dict[str, Any]:
    """A score of a record; quantiles are those of the caller."""
    paired = paired_difference(score, reference) if reference else None
    return interval(score.estimate) | {
        "n": len(score.influence), "higher_is_better": higher, "flag": None, "config_hash": digest(higher),
        "quantiles": dict(score.quantiles) if score.quantiles else None, "blocks": None,
        "delta": interval(paired) | {"p": paired.p_value} if paired else None,
    }  # fmt: skip


def close(name: str, loss: float) -> float:
    lost = {"psnr": 24 - 9 * math.log10(loss + 0.02), "ssim": 1 - 0.6 * loss**0.7, "dist_nano": 0.5 * loss}
    return lost[name]


def scored(order: int, n: int, loss: float, reference: bool) -> dict[str, tuple[Score, Score | None, bool]]:
    """The scores of a point that lost so much, each with the reference's (None: it has none to pair)."""
    by_name: dict[str, tuple[Score, Score | None, bool]] = {}
    for name, (start, slope, half, higher) in REAL.items():
        se = half * 8 / np.sqrt(n)
        jitter = np.random.default_rng(order).normal() * se / 5 if loss else 0.0
        first = Score(start, influences(0, n, se, 0.0))
        score = Score(
            start + slope * loss + jitter, influences(order, n, se, min(0.2 + loss, 0.9) if loss else 0)
        )
        by_name[f"{name}@{n}"] = (score, None if reference else first, higher)
    for name, (half, higher) in ({} if reference else CLOSE).items():
        se, value = half * 8 / np.sqrt(n), close(name, loss)
        tail = {level: value + z * 8 * se for level, z in TAILS.items()}
        by_name[f"{name}@{n}"] = (Score(value, influences(order, n, se, 1.0), quantiles=tail), None, higher)
    return by_name
