"""Import paths of earlier versions, in records and in files of users, lead to their classes of now."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import get_object

from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build
from smoothbench.config.moved import NODES, moved
from smoothbench.storage.files import load_json
from tests.support.compose import composed

RESULTS = Path(__file__).parents[3] / "results"


def nodes(data: Any) -> Iterator[dict[str, Any]]:
    """Every node with a `_target_`."""
    if isinstance(data, dict):
        yield from [data] if "_target_" in data else []
        data = list(data.values())
    for value in data if isinstance(data, list) else ():
        yield from nodes(value)


def test_every_target_of_a_published_record_is_here() -> None:
    paths = [path for path in RESULTS.glob("**/records/*.json.gz") if RESULTS / "runs" not in path.parents]
    found = {json.dumps(node) for path in paths for node in nodes(load_json(path)["config"])}
    targets = {moved(json.loads(node))["_target_"] for node in found}
    assert len(targets) > 40 and all(map(get_object, targets))


@pytest.mark.parametrize("node", [old for old, _ in NODES if "file" in old])
def test_files_that_come_with_us_are_found_by_their_old_names(node: dict[str, str]) -> None:
    assert Path(build(node, "here")).is_file()


def test_a_users_configuration_is_read_as_of_now() -> None:
    old = ("model._target_=smoothbench.models.dit.PixelDiT", "model.path=nano/dit")
    assert settings(composed(*old, "metrics=[psnr]")) == settings(composed("metrics=[psnr]"))
