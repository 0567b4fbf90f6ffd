"""Table 1 of SmoothCache: its convention of counting MACs, and records of its rows."""

from typing import Any

from smoothbench import papers
from tests.support.report_folder import digest, record

TABLE = "smoothcache/1"
BLOCK = 256 * 1152**2  # MACs: tokens x width^2; attention has 4 of it in a block, the MLP 8
REST = 0.00611  # TMACs of 64 rows and an evaluation, which nobody can explain


def tmacs(attn: int, mlp: int, evals: int) -> float:
    """The convention of SmoothCache's Table 1, from the numbers of computed branches."""
    return 64 * BLOCK * (4 * attn + 8 * mlp) / 1e12 + REST * evals


ROWS = {"ddim50-nocache": 50, "ddim50-alpha0.18": 24, "ddim50-alpha0.22": 18, "ddim70-alpha0.08": 34}


def printed_row(name: str) -> dict[str, Any]:
    """A row of the table as records hold it."""
    return papers.row(f"{TABLE}/{name}").to_json()


def paper_record(order: int, name: str, **changes: object) -> dict[str, Any]:
    """A record of a printed row as `stage=cost` leaves it."""
    row, full, evals = printed_row(name), ROWS[name], int(name[4:6])
    cost = {
        "macs": 237 * 10**9 * full,
        "macs_linear": 2288 * 10**8 * full,
        "share": full / 50,
        "evals": evals,
    }
    computed = tmacs(28 * full, 28 * full, evals)
    convention = {
        "scope": "branches",
        "rows": 64,
        "tmacs": computed,
        "tmacs_explained": computed - REST * evals,
    }
    return record(order, 256, (0, 256)) | {
        "name": name, "label": row["row"], "point_id": digest(name), "cell_id": digest(name),
        "sample_id": digest(name), "same_as": None, "reference": order == 0, "degenerate": False,
        "status": {"quality": "skipped", "cost": "done"}, "reason": "stage=cost", "calibration": None,
        "schedule": None, "scores": {}, "solver": {"name": "ddim", "steps": evals}, "reported": row,
        "cost": cost | {"by_kind": None, "paper": convention | {"remainder_per_evaluation": REST}},
        "planned": "published count" if row["inferred"] else "published mask",
    } | changes  # fmt: skip
