"""VBench's sixteen dimensions, how it makes a total of them, and its result files."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from smoothbench.caching.json_objects import unique_keys
from smoothbench.json_checks import explain, number, require


class Dimension(NamedTuple):
    """The values that become 0 and 1, and the weight in its group, see Vchitect/VBench, scripts/constant.py."""

    low: float
    high: float
    weight: float = 1.0


QUALITY: Final[Mapping[str, Dimension]] = MappingProxyType(
    {
        "subject_consistency": Dimension(0.1462, 1.0),
        "background_consistency": Dimension(0.2615, 1.0),
        "temporal_flickering": Dimension(0.6293, 1.0),
        "motion_smoothness": Dimension(0.706, 0.9975),
        "aesthetic_quality": Dimension(0.0, 1.0),
        "imaging_quality": Dimension(0.0, 1.0),
        "dynamic_degree": Dimension(0.0, 1.0, 0.5),
    }
)
SEMANTIC: Final[Mapping[str, Dimension]] = MappingProxyType(
    {
        "object_class": Dimension(0.0, 1.0),
        "multiple_objects": Dimension(0.0, 1.0),
        "human_action": Dimension(0.0, 1.0),
        "color": Dimension(0.0, 1.0),
        "spatial_relationship": Dimension(0.0, 1.0),
        "scene": Dimension(0.0, 0.8222),
        "appearance_style": Dimension(0.0009, 0.2855),
        "temporal_style": Dimension(0.0, 0.364),
        "overall_consistency": Dimension(0.0, 0.364),
    }
)
DIMENSIONS: Final[Mapping[str, Dimension]] = MappingProxyType({**QUALITY, **SEMANTIC})
# dimensions that are cosines to a text; the others are shares
COSINES: Final = ("appearance_style", "temporal_style", "overall_consistency")
ROUNDING: Final = 1e-6
QUALITY_WEIGHT, SEMANTIC_WEIGHT = 4, 1
OF_I2V: Final = ("i2v_subject", "i2v_background", "camera_motion")
OF_2: Final = (
    *("Camera_Motion", "Complex_Landscape", "Complex_Plot", "Composition", "Diversity", "Dynamic_Attribute"),
    *("Dynamic_Spatial_Relationship", "Human_Anatomy", "Human_Clothes", "Human_Identity"),
    *("Human_Interaction", "Instance_Preservation", "Material", "Mechanics", "Motion_Order_Understanding"),
    *("Motion_Rationality", "Multi-View_Consistency", "Thermotics"),
)


class Result(NamedTuple):
    """What VBench found in a dimension: its value, and over how many videos."""

    value: float
    videos: int


@dataclass(frozen=True)
class Totals:
    """VBench's sums, 0 to 1 as a rule; None where a dimension is missing, which VBench would count as 0."""

    quality: float | None
    semantic: float | None
    total: float | None
    missing: tuple[str, ...]


def totals(values: Mapping[str, float]) -> Totals:
    """Compute the weighted means of the normalised dimensions, and (4 quality + semantic) / 5, nothing clipped.

    `values` are VBench's own, by dimension; others than the sixteen are a KeyError.
    """
    for name in values:
        DIMENSIONS[name]
    quality, semantic = (_mean(values, group) for group in (QUALITY, SEMANTIC))
    total = None
    if quality is not None and semantic is not None:
        total = (QUALITY_WEIGHT * quality + SEMANTIC_WEIGHT * semantic) / (QUALITY_WEIGHT + SEMANTIC_WEIGHT)
    return Totals(quality, semantic, total, tuple(name for name in DIMENSIONS if name not in values))


def _mean(values: Mapping[str, float], group: Mapping[str, Dimension]) -> float | None:
    if not group.keys() <= values.keys():
        return None
    scaled = [
        each.weight * (values[name] - each.low) / (each.high - each.low) for name, each in group.items()
    ]
    return sum(scaled) / sum(each.weight for each in group.values())


def read_results(paths: Sequence[Path]) -> dict[str, Result]:
    """Read VBench's `*_eval_results.json`, all of them together, in the order of `DIMENSIONS`.

    A file has an object of dimensions, each a list of its value and a list of the videos. Raises ValueError, naming
    the file, for one that cannot be read, of VBench-2.0 or of VBench++ (image to video), with another layout, with
    a dimension twice or with values out of range, and where two files disagree.
    """
    results: dict[str, Result] = {}
    for path in paths:
        for name, result in _read(path).items():
            if results.setdefault(name, result) != result:
                raise ValueError(f"{path}: another file has another {name}: give the files of one evaluation")
    return {name: results[name] for name in DIMENSIONS if name in results}


def _read(path: Path) -> dict[str, Result]:
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=unique_keys)
        if not isinstance(content, dict) or not content:
            raise ValueError("it is no object of dimensions, as *_eval_results.json is")
        _check_version(content)
        return {name: _result(name, value) for name, value in content.items()}
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or explain(error)
        raise ValueError(f"{path}: no results of VBench 1 ({reason})") from None


def _check_version(names: Iterable[str]) -> None:
    for others, version in ((OF_2, "VBench-2.0"), (OF_I2V, "VBench++, image to video")):
        if unexpected := sorted(set(names) & set(others)):
            raise ValueError(f"{unexpected[0]} is a dimension of {version}, which has another total")
    if unexpected := sorted(set(names) - DIMENSIONS.keys()):
        raise ValueError(f"{unexpected[0][:60]} is none of its 16 dimensions")


def _result(name: str, value: Any) -> Result:
    if not isinstance(value, list) or len(value) != 2 or not isinstance(value[1], list) or not value[1]:
        raise ValueError(f"its {name} is not a value and a list of videos: another version's layout")
    return Result(_share(value[0], name), len(value[1]))


def _share(value: Any, name: str) -> float:
    """A dimension's value, from 0 to 1 or, of cosines, from -1 on; its float32 may round beyond."""
    share = number(value, name)
    low, kind = (-1, "cosine") if name in COSINES else (0, "share of 1")
    if not low - ROUNDING <= share <= 1 + ROUNDING:
        raise ValueError(f"its {name} is {share}, not a {kind}: another version's scale")
    return share


SCHEMA: Final = 1  # of results that lie beside the records


def imported_results(content: Any) -> dict[str, Result]:
    """Read the results in a file of `vbench/`; ValueError, or KeyError for what is missing, where it is damaged."""
    schema = require(content, "content", dict)["schema"]
    if schema != SCHEMA:
        raise ValueError(f"its schema is {str(schema)[:40]!r}, this version reads {SCHEMA}: import it again")
    dimensions = require(content["dimensions"], "dimensions", dict)
    _check_version(dimensions)
    return {
        name: Result(_share(each["value"], name), require(each["videos"], f"{name}.videos", int))
        for name, each in dimensions.items()
    }
