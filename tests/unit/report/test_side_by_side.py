"""Two points of report.html side by side, as the data that the page's script reads."""

from pathlib import Path
from typing import Any

import numpy as np

from smoothbench.report import load
from smoothbench.report.data.groups import comparable_groups
from smoothbench.report.page.side_by_side import side_by_side
from tests.support.report_folder import build


def pairs_of(folder: Path) -> dict[str, Any] | None:
    (_, frame), *_ = comparable_groups(load(folder))
    return side_by_side(0, frame, folder)


def test_a_sample_score_that_is_not_finite_is_left_out(tmp_path: Path) -> None:
    folder = build(tmp_path / "run", [0, 6])
    path = next((folder / "scores").glob("fora*.npz"))
    arrays = dict(np.load(path))
    arrays["psnr@256"][:2] = -np.inf, np.nan
    np.savez(path, **arrays)
    pairs = pairs_of(folder)
    assert pairs is not None
    point = pairs["points"][1]
    assert point["values"][:2] == [None, None] and None not in point["values"][2:]


def test_one_point_is_not_shown_beside_itself(tmp_path: Path) -> None:
    assert pairs_of(build(tmp_path / "one", [0])) is None
