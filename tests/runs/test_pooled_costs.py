"""The cost of a point that decides at run time, over several parts of its seeds."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.runs import run

UNEVEN = """
from itertools import count

class Uneven:
    runs = count()
    def decide(self, evaluation):
        if evaluation.e == 0:
            self.every = 2 + next(self.runs) % 2
        return [evaluation.e % self.every == 0] * len(evaluation.sites)
"""


def change(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_the_cost_of_a_dynamic_policy_is_pooled_over_the_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "uneven.py").write_text(UNEVEN)
    monkeypatch.syspath_prepend(str(tmp_path))
    node = "{policy:{_target_:uneven.Uneven},predictor:reuse,family:dynamic,label:dynamic}"
    asked = (f"+points.new.cache={node}", "metrics=[psnr]", "only=[new]", "num_samples=5", "batch_size=2")
    for seeds in ("0-1", "2-4"):
        run(tmp_path, *asked, f"seeds={seeds}")
    paths = list((tmp_path / "runs/smoke/records").glob("new*.json"))
    records = {json.loads(path.read_text())["num_samples"]: path for path in paths}
    two, three, all_five = (json.loads(records[count].read_text())["cost"] for count in (2, 3, 5))
    assert two["macs"] != three["macs"]
    assert all_five["share"] == pytest.approx((2 * two["share"] + 3 * three["share"]) / 5, rel=1e-12)
    for name in ("macs", "macs_linear"):
        assert all_five[name] == pytest.approx((2 * two[name] + 3 * three[name]) / 5, abs=1)
    for kind, macs in all_five["by_kind"].items():
        assert macs == pytest.approx((2 * two["by_kind"][kind] + 3 * three["by_kind"][kind]) / 5, abs=1)
    assert abs(sum(all_five["by_kind"].values()) - all_five["macs"]) <= len(all_five["by_kind"])
    of_an_earlier_version = all_five | {"share": two["share"], "by_kind": two["by_kind"]}
    change(records[5], cost=of_an_earlier_version)
    change(records[2], cost=two | {"batches_halved": 2})
    change(records[3], cost=three | {"batches_halved": 1})
    run(tmp_path, *asked, "seeds=2-4")
    assert json.loads(records[5].read_text())["cost"] == all_five | {"batches_halved": 3}
