"""Records that the report cannot show: left out, and named with what is wrong."""

import math
import re
from pathlib import Path
from typing import Any

import pytest

from smoothbench.report import load
from tests.support.report_folder import build, edit, made

BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"schema": 1}, "its schema is 1, this version reads 3: run it again"),
    ({"seeds": [[0, 100]]}, r"seeds \[\[0, 100\]\] are not 256 samples"),
    ({"seeds": [0, 256]}, "its seeds.0 is 0, not a list"),
    (
        {"status": {"quality": "good", "cost": "done"}},
        "its status.quality is 'good', not one of done, failed, skipped",
    ),
    ({"order": "first"}, 'its order is "first", not a whole number'),
    ({"reference": 1}, "its reference is 1, not true or false"),
    ({"scores": {"made@256": made(0.1, 1.5)}}, "made@256.delta.p is 1.5"),
    (
        {"scores": {"made@256": made(0.1, 0.5) | {"value": math.inf}}},
        "made@256.value is inf, not a finite number",
    ),
    ({"scores": {"made@256": {"value": 1.0}}}, "it has no 'scores.made@256.se'"),
    ({"schedule": {"sites": ["a"], "kinds": ["b"], "rows": ["11"]}}, "rows of other lengths"),
    ({"cost": {"macs": "many"}}, 'its cost.macs is "many"'),
]


@pytest.mark.parametrize(("changes", "message"), BROKEN)
def test_records_of_the_wrong_kind_are_refused_by_name(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    folder = build(tmp_path, (0, 6), ("fd_nano@256",))
    edit(folder, "fora-n=2", **changes)
    frame = load(folder)
    assert len(frame) == 1
    assert len(frame.attrs["ignored"]) == 1 and frame.attrs["ignored"][0].startswith("records/fora-n=2-")
    assert re.search(message, frame.attrs["ignored"][0])


def test_folder_of_schema_1_alone_says_so(tmp_path: Path) -> None:
    folder = build(tmp_path, (0,), ("fd_nano@256",))
    edit(folder, "no-cache,-50-steps", schema=1)
    with pytest.raises(ValueError, match="its schema is 1, this version reads 3: run it again"):
        load(folder)
