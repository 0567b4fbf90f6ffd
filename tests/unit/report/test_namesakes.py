"""Points of one label or name are told apart, and scores of other code are not taken for the same."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from smoothbench.costs.cost_table import cost_csv
from smoothbench.errors import UsageError
from smoothbench.report.data.frame import load
from smoothbench.report.data.groups import comparable_groups
from smoothbench.report.document import document
from smoothbench.report.tables.point_tables import report_table
from smoothbench.report.tables.two_points import compare
from smoothbench.storage.find_point import point_of
from smoothbench.storage.results_folder import Store
from tests.support.report_folder import CALIBRATION, digest, record, save
from tests.support.two_tables import SOLVER, add, weighted


@pytest.mark.parametrize(
    ("changes", "label"),
    [
        ({"predictor": "taylor1"}, "FORA N=3 (predictor taylor1)"),
        ({"config": {"cache": {"interval": 4}}}, "FORA N=3 (interval 4)"),
        ({"config": {"solver": SOLVER | {"eta": 1.0}}}, "FORA N=3 (eta 1)"),
        ({"calibration": CALIBRATION | {"num_samples": 9}}, "FORA N=3 (calibration.num_samples 9)"),
        (
            {"code": {"policy": {"version": 1, "source": "beef" * 3}}},
            "FORA N=3 (code of the policy beefbeef)",
        ),
        ({"batch_size": 16}, "FORA N=3 (batch_size 16)"),
        ({}, "FORA N=3 (point "),
    ],
)
def test_points_of_one_label_are_told_apart(tmp_path: Path, changes: dict[str, Any], label: str) -> None:
    told: dict[str, Any] = {
        "config": {"cache": {"interval": 3, "label": "FORA N=3"}, "solver": SOLVER}, "calibration": CALIBRATION,
        "code": {"policy": {"version": 1, "source": "cafe" * 3}}, "batch_size": 8, "predictor": "reuse",
    }  # fmt: skip
    add(tmp_path, "", (0,))
    for key, more in (("a", told), ("b", told | changes)):
        content = record(7, 256, (0, 256)) | more | {"sample_id": digest(key), "point_id": digest(key)}
        save(tmp_path, content | {"reference_id": record(0, 256, (0, 256))["reference_id"]})
    reference = next((tmp_path / "records").glob("no-cache*"))
    plain = json.loads(reference.read_text()) | {"reference_id": record(0, 256, (0, 256))["reference_id"]}
    reference.write_text(json.dumps(plain))
    labels = list(report_table(load(tmp_path))["policy"])
    assert len(set(labels)) == 3 and sum(each.startswith(label) for each in labels) == (1 if changes else 2)


def test_other_numerics_than_the_references_stand_in_the_label(tmp_path: Path) -> None:
    add(tmp_path, "", (0, 5), provenance={"kind": "cuda"})
    add(tmp_path, "", (7,), numerics={"tf32_matmul": True}, provenance={"kind": "cuda"})
    labels = list(report_table(load(tmp_path))["policy"])
    assert [label for label in labels if "tf32" in label] == ["FORA N=3 (tf32_matmul true)"]


def test_on_a_cpu_the_switches_of_a_gpu_tell_nothing_apart(tmp_path: Path) -> None:
    add(tmp_path, "", (0, 5))
    add(tmp_path, "", (7,), numerics={"tf32_matmul": True, "tf32_cudnn": False})
    assert not [label for label in report_table(load(tmp_path))["policy"] if "tf32" in label]


def test_a_record_without_code_differs_in_that(tmp_path: Path) -> None:
    code = {part: {"version": 1, "source": "beef" * 3} for part in ("policy", "predictor")}
    add(tmp_path, "", (0, 7), numerics={"tf32_cudnn": False})
    content = record(7, 256, (0, 256)) | {"point_id": digest("new"), "sample_id": digest("new"), "code": code}
    save(tmp_path, content | {"per_block": 256, "reference_id": digest(content["reference_id"], "")})
    labels = [label for label in report_table(load(tmp_path))["policy"] if label.startswith("FORA N=3")]
    assert sorted(labels) == [
        "FORA N=3 (code of the policy beefbeef)",  # the predictor's is compared where both are known
        "FORA N=3 (code unknown)",
    ]


def test_a_twin_is_the_one_with_the_same_samples(tmp_path: Path) -> None:
    for key, letter in (("a", "a"), ("b", "b")):
        add(tmp_path, key, **weighted(letter))
    for _, part in comparable_groups(load(tmp_path)):
        assert "FORA N=1 (skips nothing; = no cache, 50 steps)" in list(report_table(part)["policy"])


def test_scores_of_older_code_of_a_metric_are_flagged(tmp_path: Path) -> None:
    add(tmp_path, "", (0, 5, 7))
    path = next((tmp_path / "records").glob("fora-n=3-*.json"))
    content = json.loads(path.read_text())
    content["scores"]["fd_nano@256"]["config_hash"] = "other"
    content["provenance"]["time"] = "2020-01-01T00:00:00Z"
    path.write_text(json.dumps(content))
    frame = load(tmp_path)
    flags = dict(zip(frame["name"], frame["fd_nano@256.flag"], strict=True))
    assert "other code or settings of the metric" in flags["fora-n=3"]
    assert "other code" not in flags["no-cache,-50-steps"] + flags["fora-n=1"]
    text = document([(frame, [])], [])
    assert re.search(r"fd_nano@256\u2020: .*by other code or settings of the metric.*\(FORA N=3\)", text)


def test_scores_of_other_code_are_not_compared(tmp_path: Path) -> None:
    add(tmp_path, "")
    assert "+" in compare(tmp_path, "fora-n=3", "no-cache,-50-steps").splitlines()[1]
    path = next((tmp_path / "records").glob("fora-n=3-*.json"))
    path.write_text(path.read_text().replace('"config_hash": "', '"config_hash": "other'))
    line = compare(tmp_path, "fora-n=3", "no-cache,-50-steps").splitlines()[1]
    assert line.split(maxsplit=1) == ["fd_nano@256", "not compared: other code or settings of the metric, "
                                      "run the experiment again"]  # fmt: skip


def test_points_of_one_name_are_offered_with_what_they_differ_in(tmp_path: Path) -> None:
    for letter in "ab":
        add(tmp_path, letter, **weighted(letter))
    with pytest.raises(ValueError, match=r"2 points are called fora-n=3.*\(FORA N=3, weights checkpoints/a"):
        compare(tmp_path, "fora-n=3", "fora-n=3")
    records = Store(tmp_path).records()
    with pytest.raises(
        UsageError, match=r"2 points are called fora-n=3.*\(weights checkpoints/a \(aaaaaaaa\)\)"
    ):
        point_of(records, tmp_path, "fora-n=3")


def test_the_cost_table_tells_cells_of_one_name_apart(tmp_path: Path) -> None:
    add(tmp_path, "a", (5, 7))
    cost_csv(Store(tmp_path))
    assert "differs_in" not in (tmp_path / "cost.csv").read_text()
    add(tmp_path, "b", (7,), model={"guidance": 4.0})
    cost_csv(Store(tmp_path))
    with (tmp_path / "cost.csv").open(newline="") as file:
        found = [(row["name"], row["differs_in"]) for row in csv.DictReader(file)]
    assert set(found) == {
        ("fora-n=3", "guidance 2"), ("fora-n=3", "guidance 4"), ("fora-n=1", ""),
    }  # fmt: skip
