"""VBench's totals: the published weighting of its dimensions."""

import pytest

from smoothbench.interop.vbench.totals import DIMENSIONS, totals

VALUES = {name: 0.3 + 0.04 * place for place, name in enumerate(DIMENSIONS)}


def test_the_total_is_the_published_weighting() -> None:
    scores = totals(VALUES)
    quality = (
        (VALUES["subject_consistency"] - 0.1462) / (1 - 0.1462)
        + (VALUES["background_consistency"] - 0.2615) / (1 - 0.2615)
        + (VALUES["temporal_flickering"] - 0.6293) / (1 - 0.6293)
        + (VALUES["motion_smoothness"] - 0.706) / (0.9975 - 0.706)
        + VALUES["aesthetic_quality"]
        + VALUES["imaging_quality"]
        + 0.5 * VALUES["dynamic_degree"]
    ) / 6.5
    plain = ("object_class", "multiple_objects", "human_action", "color", "spatial_relationship")
    semantic = (
        sum(VALUES[name] for name in plain)
        + VALUES["scene"] / 0.8222
        + (VALUES["appearance_style"] - 0.0009) / (0.2855 - 0.0009)
        + VALUES["temporal_style"] / 0.364
        + VALUES["overall_consistency"] / 0.364
    ) / 9
    assert (scores.quality, scores.semantic) == (
        pytest.approx(quality, abs=1e-14),
        pytest.approx(semantic, abs=1e-14),
    )
    assert not scores.missing and scores.quality is not None and scores.semantic is not None
    assert scores.total == (4 * scores.quality + scores.semantic) / 5
    best = totals({name: each.high for name, each in DIMENSIONS.items()})
    assert (best.quality, best.semantic, best.total) == (1.0, 1.0, 1.0)
    assert totals({name: each.low for name, each in DIMENSIONS.items()}).total == 0.0


def test_without_a_dimension_there_is_no_total() -> None:
    scores = totals({name: value for name, value in VALUES.items() if name != "scene"})
    assert (
        scores.quality is not None
        and scores.semantic is scores.total is None
        and scores.missing == ("scene",)
    )
    with pytest.raises(KeyError):
        totals({"i2v_subject": 1.0})
