"""Plan the migration of a results folder of schema 2: its new records, and new names for all files named by ids.

Nothing is written here; `smoothbench.migration.migrate` carries the plan out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from smoothbench.caching import ErrorCurves, Trajectory
from smoothbench.caching.mac_counter import measured_sites
from smoothbench.caching.policy import DynamicPolicy, PlansOnBatch
from smoothbench.config.instantiate import build_model, build_policy, build_solver
from smoothbench.errors import UsageError, one_line
from smoothbench.json_checks import explain
from smoothbench.migration.old_ids import OldRecord, Proven, Unproven, bits, new_ids, old_ids, prove
from smoothbench.migration.old_scores import Metrics
from smoothbench.planning.point_ids import recorded
from smoothbench.sampling.calibrate_point import curves_file
from smoothbench.storage.identity import canonical, identity
from smoothbench.storage.record import SCHEMA, Record

# keys of a record's calibration that describe curves, not how to calibrate
OF_CURVES = ("digest", "file", "spread")
Seeds = tuple[int, int]
Ids = tuple[str, str]  # an old id and the new one


@dataclass
class Renaming:
    """Old names with new ones: of samples, points, cells, curves, cached features (folder, key), and records."""

    samples: dict[str, str] = field(default_factory=dict)
    points: dict[str, str] = field(default_factory=dict)
    cells: dict[str, str] = field(default_factory=dict)
    curves: dict[str, str] = field(default_factory=dict)
    features: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    records: list[tuple[OldRecord, Record]] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)  # by metric or file: why it keeps its old name


def renaming(folder: Path, records: Mapping[str, OldRecord]) -> Renaming:
    """Plan the renaming of records, by the names of their files; UsageError, naming those that cannot be proved."""
    plan, proven, wrong = Renaming(), dict[str, Proven](), []
    known = _Files(folder)
    for file, record in records.items():
        try:
            Record.from_json({**record, "schema": SCHEMA})  # of the same shape, on which all below relies
            proven[file] = prove(record)
            known.check(record, proven[file])
        except (ValueError, KeyError) as error:  # Unproven is a ValueError
            wrong.append(f"records/{file}: {explain(error)}")
    if not wrong:
        pairs = _pairs(records, proven, plan)
        for file, record in records.items():
            try:
                _add_points(record, proven[file], pairs, plan)
            except Unproven as error:
                wrong.append(f"records/{file}: {error}")
    wrong += _merged(plan.points)
    metrics = Metrics()
    for file, record in records.items() if not wrong else ():
        try:
            plan.records.append((record, _renamed(record, proven[file], plan, metrics, known)))
        except (ValueError, KeyError) as error:
            wrong.append(f"records/{file}: {explain(error)}")
    if wrong:
        raise UsageError(
            f"{folder} is left as it is; move away what cannot be proved, and it is made anew: {'; '.join(wrong)}"
        )
    plan.refused |= metrics.refused
    return plan


def _pairs(
    records: Mapping[str, OldRecord], proven: Mapping[str, Proven], plan: Renaming
) -> dict[tuple[str, Seeds], Ids]:
    """Map the baselines' sample_id and seed range to the old and the new id of the samples of that range."""
    pairs: dict[tuple[str, Seeds], Ids] = {}
    for file, record in records.items():
        for seeds in _ranges(record) if record["reference"] else ():
            known = proven[file]
            old = old_ids(record, known.code, known.batch_size, known.planned_on, seeds, None)[0]
            new = new_ids(record, known, seeds, None)[0]
            pairs[record["sample_id"], seeds] = old, new
            plan.samples[old] = new
    return pairs


def _add_points(
    record: OldRecord, known: Proven, pairs: Mapping[tuple[str, Seeds], Ids], plan: Renaming
) -> None:
    """Add the ids of a record and of its seed ranges to the plan.

    Raises Unproven where its old ids do not come out again, or the record of its baseline is not in the folder.
    """
    olds, news = [], []
    for seeds in _ranges(record):
        pair: tuple[str | None, str | None] = (None, None)
        if not record["reference"]:
            if (record["reference_id"], seeds) not in pairs:
                raise Unproven(
                    f"the record of its uncached pair, samples {record['reference_id']}, is not here"
                )
            pair = pairs[record["reference_id"], seeds]
        olds.append(old_ids(record, known.code, known.batch_size, known.planned_on, seeds, pair[0]))
        news.append(new_ids(record, known, seeds, pair[1]))
    point_ids = [old[1] for old in olds]
    if point_ids != (record["parts"] or [record["point_id"]]) or (
        record["parts"] and identity(point_ids) != record["point_id"]
    ):
        raise Unproven("its point_id does not come out again")
    for old, new in zip(olds, news, strict=True):
        plan.samples[old[0]], plan.points[old[1]], plan.cells[old[2]] = new
    if record["parts"]:
        plan.points[record["point_id"]] = identity([new[1] for new in news])


def _renamed(record: OldRecord, known: Proven, plan: Renaming, metrics: Metrics, files: "_Files") -> Record:
    """The record with its new names; ValueError or KeyError, naming the field, where other content is damaged."""
    calibration = record["calibration"] and dict(record["calibration"])
    if calibration and "file" in calibration:
        new = _curves(record, known)
        if reason := files.differ(calibration):
            plan.refused[calibration["file"]] = reason
        elif plan.curves.setdefault(calibration["file"], new) == new:
            calibration["file"] = new
    scores = {score: _score(record, score, plan, metrics) for score in record["scores"]}
    renamed = {
        **record,
        "schema": SCHEMA,
        "formerly": record["point_id"],  # orders points of one name, on which the draws of a study depend
        "sample_id": plan.samples[record["sample_id"]],
        "point_id": plan.points[record["point_id"]],
        "cell_id": plan.cells[record["cell_id"]],
        "reference_id": plan.samples[record["reference_id"]],
        "parts": [plan.points[point_id] for point_id in record["parts"]],
        "described": recorded(known.described),
        "calibration": calibration,
        "scores": scores,
    }
    return Record.from_json(renamed)


def _curves(record: OldRecord, known: Proven) -> str:
    """The new name of the file of curves that a record was planned on."""
    calibration = {key: value for key, value in record["calibration"].items() if key not in OF_CURVES}
    return curves_file(known.described["model"], known.described["solver"], calibration)


def _score(record: OldRecord, score: str, plan: Renaming, metrics: Metrics) -> dict[str, Any]:
    """The score with its metric's new hash; adds the features that the metric cached to the plan."""
    entry, name = dict(record["scores"][score]), score.partition("@")[0]
    metric = metrics.renamed(name, record["config"]["metrics"].get(name), entry["config_hash"])
    if metric is None:
        return entry
    old, new = (record["sample_id"], record["reference_id"]), plan.samples
    pairs = (None, None) if record["reference"] else (old[1], new[old[1]])
    if not record["parts"]:
        keys = metric.old.key(pairs[0]), metric.new.key(pairs[1])
        plan.features[old[0], keys[0]] = new[old[0]], keys[1]
    if metric.new.real is not None:
        real = [identity([bound.key(None), metric.new.real.digest]) for bound in (metric.old, metric.new)]
        plan.features["real", real[0]] = "real", real[1]
    return entry | {"config_hash": metric.new.config_hash, "metric": dict(metric.new.name_and_version)}


def _merged(names: Mapping[str, str]) -> list[str]:
    """A message for every two points that would get the same new id."""
    first: dict[str, str] = {}
    pairs = [(old, first.setdefault(new, old)) for old, new in names.items()]
    return [
        f"points {old} and {other} are the same by now: remove one" for old, other in pairs if old != other
    ]


def _ranges(record: OldRecord) -> Sequence[Seeds]:
    return [(start, stop) for start, stop in record["seeds"]]


class _Files:
    """Checks that the files which results depend on have not changed since."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._trajectories: dict[str, Trajectory] = {}
        self._digests: dict[str, str] = {}

    def check(self, record: OldRecord, known: Proven) -> None:
        """Raise Unproven where the policy's file now gives another schedule than the record has."""
        if not (record["schedule"] and _has_digest(known.described["policy"])):
            return
        policy = build_policy(record["config"]["cache"], "cache")
        if isinstance(policy, DynamicPolicy | PlansOnBatch):
            raise Unproven("nothing says whether its policy's file is still the same")
        try:
            curves = None
            if policy.needs_curves:
                paths = self.folder / record["calibration"]["file"], self.folder / _curves(record, known)
                curves = ErrorCurves.load(paths[0] if paths[0].exists() else paths[1])
            planned = policy.plan(self._trajectory(record), curves).bit_strings()
        except (ValueError, OSError, RuntimeError, TypeError) as error:
            raise Unproven(f"its schedule cannot be planned again of its file ({one_line(error)})") from error
        if planned != bits(record):
            raise Unproven("its policy's file gives another schedule by now")

    def differ(self, calibration: Mapping[str, Any]) -> str | None:
        """The reason why a file of curves is not the one of a record; None where it is, or does not exist."""
        path = self.folder / calibration["file"]
        if calibration["file"] not in self._digests:
            try:
                self._digests[calibration["file"]] = ErrorCurves.load(path).digest() if path.exists() else ""
            except ValueError:
                return "the curves are damaged"
        digest = self._digests[calibration["file"]]
        return None if digest in ("", calibration["digest"]) else "the curves are others than the record's"

    def _trajectory(self, record: OldRecord) -> Trajectory:
        """The trajectory that a static policy plans on; built without weights."""
        config = record["config"]
        key = canonical([config["model"], config["solver"]])
        if key not in self._trajectories:
            random = {"weights": "random"} if "weights" in config["model"] else {}
            model = build_model(config["model"] | random, torch.device("cpu"))
            sites, rest = measured_sites(*model.skeleton())
            grid = build_solver(config["solver"]).coordinates
            self._trajectories[key] = Trajectory(sites, grid, rest.total, rest.linear)
        return self._trajectories[key]


def _has_digest(described: Any) -> bool:
    if isinstance(described, Mapping):
        return "digest" in described or any(map(_has_digest, described.values()))
    return False
