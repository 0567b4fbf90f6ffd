"""Ids that records had in an earlier version go with them, and with no other."""

import json
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from tests.support.runs import change, run


@pytest.fixture(scope="module")
def psnr_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of the first seed block, scored by one metric, to be copied."""
    folder = tmp_path_factory.mktemp("psnr")
    run(folder, "metrics=[psnr]", "only=[fora]")
    return folder


def former_ids(folder: Path) -> dict[str, Any]:
    """The ids in an earlier version that records have, by file; records without one are left out."""
    records = {path: json.loads(path.read_text()) for path in folder.glob("runs/smoke/records/*.json")}
    return {path.name: record["formerly"] for path, record in records.items() if "formerly" in record}


@pytest.mark.parametrize("again", [["metrics=[psnr,ssim]"], ["metrics=[psnr]", "force=true"]])
def test_a_record_that_is_written_again_keeps_its_former_id(
    tmp_path: Path, psnr_alone: Path, again: list[str]
) -> None:
    copytree(psnr_alone, tmp_path, dirs_exist_ok=True)
    path = next(tmp_path.glob("runs/smoke/records/fora*"))
    before = path.read_text()
    change(path, formerly="00ff")
    run(tmp_path, *again, "only=[fora]")
    assert path.read_text() != before and former_ids(tmp_path) == {path.name: "00ff"}


def test_a_pooled_record_has_its_own_former_id_and_not_that_of_a_part(
    tmp_path: Path, psnr_alone: Path
) -> None:
    copytree(psnr_alone, tmp_path, dirs_exist_ok=True)
    for number, path in enumerate(sorted(tmp_path.glob("runs/smoke/records/*.json"))):
        change(path, formerly=str(number))
    run(tmp_path, "metrics=[psnr]", "only=[fora]", "seed=1")
    parts = former_ids(tmp_path)
    assert len(parts) == 2  # of the parts of seed block 0: the pooled records have none
    path = next(p for p in tmp_path.glob("runs/smoke/records/fora*") if json.loads(p.read_text())["parts"])
    change(path, formerly="00ff", scores={})
    run(tmp_path, "metrics=[psnr]", "only=[fora]", "force=true")
    assert former_ids(tmp_path) == parts | {path.name: "00ff"}
