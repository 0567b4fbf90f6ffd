"""A record with one changed number is refused; the published results pass every check."""

import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smoothbench.leaderboard.check import PerSampleScores, differences, refusals
from smoothbench.leaderboard.check_costs import MeasuredModels
from smoothbench.leaderboard.observed import ReadFeatures
from smoothbench.leaderboard.submission import Submission, read_submissions
from smoothbench.storage.files import load_json
from smoothbench.storage.record import Record
from tests.support.published_part import RESULTS, part_of

MODELS = MeasuredModels()  # measured once for all tests
ON_TRUST = re.compile(
    r"order|per_block|cost\.batches_halved|provenance\..*|code\..*|budget\.search\..*|config\.metrics\..*"
    r"|schedule\.meta\..*|calibration\.(seed|draw)"
    # a dynamic method: its calls are in no record
    r"|budget\.expected|calibration\.(k_max|num_samples)|cost\.macs_linear|cost\.by_kind\..*"
    # a metric that is no mean over samples
    r"|scores\.(fd|kid|is|sfd|fd_inf|precision|recall)_\w+@\d+\.blocks\.\d+"
)
STATIC = r"order|per_block|cost\.batches_halved|provenance\..*|code\..*|config\.metrics\..*|calibration\.(seed|draw)"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Submission]:
    names = ("fora-orientation=mirrored-at=0.2", "teacache-at=0.3", "smoothcache-at=0.6")
    rivals = part_of(tmp_path_factory.mktemp("rivals") / "rivals_image", "rivals_image", *names)
    return {one.name: one for one in read_submissions([RESULTS / "dit_ddim", rivals])}


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], float]]:
    """The numbers of a record: of a list the first, the last, and what stands between them by its kind."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        for i in sorted({0, len(value) - 1}) if value else ():
            yield from leaves(value[i], (*path, i))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, value


def changed(data: dict[str, Any], path: tuple[Any, ...], value: float) -> dict[str, Any]:
    copy = deepcopy(data)
    place: Any = copy
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value + 1 if isinstance(value, int) else value * 1.001 if value else 0.001
    return copy


def passing(submission: Submission, name: str) -> set[str]:
    """The numbers of a point's record that can be changed without a check that notices."""
    file = next(path for path, record in submission.records.items() if record.name == name)
    data = load_json(file)
    unnoticed, samples = set(), PerSampleScores(submission)
    for path, value in leaves(data):
        field = ".".join(map(str, path))
        try:
            record = Record.from_json(changed(data, path, value))
        except (ValueError, KeyError):
            continue
        handed_in = replace(submission, records={**submission.records, file: record})
        if not list(differences(record, handed_in, samples, MODELS)):
            unnoticed.add(field)
    return unnoticed


@pytest.mark.parametrize(
    ("folder", "name", "trusted"),
    [
        ("dit_ddim", "smoothcache-alpha=0.15", ON_TRUST),
        ("rivals_image", "fora-orientation=mirrored-at=0.2", re.compile(STATIC)),
        ("rivals_image", "teacache-at=0.3", ON_TRUST),
    ],
    ids=["pooled", "static", "dynamic"],
)
def test_every_number_but_those_taken_on_trust_is_recomputed(
    published: dict[str, Submission], folder: str, name: str, trusted: re.Pattern[str]
) -> None:
    unnoticed = passing(published[folder], name)
    assert not [field for field in unnoticed if not trusted.fullmatch(field)]
    assert "order" in unnoticed  # the test itself changes numbers one by one


def test_the_published_results_pass(published: dict[str, Submission]) -> None:
    for submission in published.values():
        assert not list(refusals(submission, MODELS))


@pytest.mark.parametrize(
    ("field", "path"),
    [
        ("scores.psnr@2048.value", ("scores", "psnr@2048", "value")),
        ("scores.fd_nano@2048.low", ("scores", "fd_nano@2048", "low")),
        ("scores.fd_nano@2048.se", ("scores", "fd_nano@2048", "se")),
        ("scores.fd_nano@2048.delta.value", ("scores", "fd_nano@2048", "delta", "value")),
        ("scores.fd_nano@2048.delta.p", ("scores", "fd_nano@2048", "delta", "p")),
        ("scores.psnr@2048.quantiles.0.05", ("scores", "psnr@2048", "quantiles", "0.05")),
        ("scores.psnr@2048.blocks.1", ("scores", "psnr@2048", "blocks", 1)),
        ("cost.macs_linear", ("cost", "macs_linear")),
        ("cost.share", ("cost", "share")),
        ("calibration.spread", ("calibration", "spread")),
    ],
)
def test_the_changed_number_itself_is_named(
    published: dict[str, Submission], field: str, path: tuple[Any, ...]
) -> None:
    submission = published["rivals_image" if "spread" in field else "dit_ddim"]
    records = submission.records.items()
    file = next(path for path, one in records if one.name.startswith("smoothcache") and one.cost)
    data = load_json(file)
    number = data
    for key in path:
        number = number[key]
    record = Record.from_json(changed(data, path, number))
    handed_in = replace(submission, records={**submission.records, file: record})
    found = list(differences(record, handed_in, PerSampleScores(handed_in), MODELS))
    stored, recomputed = next((one.stored, one.recomputed) for one in found if one.field == field)
    assert stored == pytest.approx(number * 1.001 if isinstance(number, float) else number + 1)
    assert recomputed == pytest.approx(number, rel=1e-4)  # per-sample scores are float32


def test_features_of_real_samples_are_not_written_into_what_was_handed_in(tmp_path: Path) -> None:
    features, rows = ReadFeatures(tmp_path / "observations"), np.eye(2)
    with features.streaming("real", range(2)) as streams:
        streams.add("key", rows)
    assert np.array_equal(features.read("real", "key", range(2)), rows)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
