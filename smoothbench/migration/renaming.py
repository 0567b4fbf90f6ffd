"""What becomes of a results folder of schema 2: the new records, and the new name of everything that is named by ids.

Nothing is written here; `smoothbench.migrate` carries it out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from smoothbench.caching import ErrorCurves, Trajectory
from smoothbench.caching.mac_counter import measured_sites
from smoothbench.caching.policy import DynamicPolicy
from smoothbench.config.instantiate import build_model, build_policy, build_solver
from smoothbench.errors import UsageError, one_line
from smoothbench.json_checks import explain
from smoothbench.migration.old_ids import OldRecord, Proven, Unproven, bits, new_ids, old_ids, prove
from smoothbench.migration.old_scores import Metrics
from smoothbench.planning.point import rows
from smoothbench.planning.point_ids import recorded
from smoothbench.sampling.calibrate_point import curves_file
from smoothbench.storage.identity import canonical, identity
from smoothbench.storage.record import SCHEMA, Record

FOUND = ("digest", "file", "spread")  # of curves, beside the calibration that was asked for
Seeds = tuple[int, int]
Ids = tuple[str, str]  # old and new


@dataclass
class Renaming:
    """Old names and new ones: of samples, cells, curves, of rows that metrics keep (folder, key), and records."""

    samples: dict[str, str] = field(default_factory=dict)
    points: dict[str, str] = field(default_factory=dict)
    cells: dict[str, str] = field(default_factory=dict)
    curves: dict[str, str] = field(default_factory=dict)
    observed: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    records: list[tuple[OldRecord, Record]] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)  # by metric or file: why it keeps its old name


def renaming(folder: Path, records: Mapping[str, OldRecord]) -> Renaming:
    """The renaming of the records in some files; UsageError, naming each, where one cannot be proved what it is."""
    plan, proven, wrong = Renaming(), dict[str, Proven](), []
    known = _Files(folder)
    for file, record in records.items():
        try:
            proven[file] = prove(record)
            known.check(record, proven[file])
        except Unproven as error:
            wrong.append(f"records/{file}: {error}")
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
    """Of each reference's parts, by its first samples and the part's seeds, the old and the new id of the samples."""
    found: dict[tuple[str, Seeds], Ids] = {}
    for file, record in records.items():
        for seeds in _ranges(record) if record["reference"] else ():
            known = proven[file]
            old = old_ids(record, known.code, known.batch_size, known.planned_on, seeds, None)[0]
            found[record["sample_id"], seeds] = old, new_ids(record, known, seeds, None)[0]
            plan.samples[old] = found[record["sample_id"], seeds][1]
    return found


def _add_points(
    record: OldRecord, known: Proven, pairs: Mapping[tuple[str, Seeds], Ids], plan: Renaming
) -> None:
    """The ids of a record and of its parts; Unproven where they are others than it says, or its pair is not here."""
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
    parts = [old[1] for old in olds]
    if parts != (record["parts"] or [record["point_id"]]) or (
        record["parts"] and identity(parts) != record["point_id"]
    ):
        raise Unproven("its point_id does not come out again")
    for old, new in zip(olds, news, strict=True):
        plan.samples[old[0]], plan.points[old[1]], plan.cells[old[2]] = new
    if record["parts"]:
        plan.points[record["point_id"]] = identity([new[1] for new in news])


def _renamed(record: OldRecord, known: Proven, plan: Renaming, metrics: Metrics, files: "_Files") -> Record:
    """A record by its new names; ValueError or KeyError, naming the field, where it is damaged otherwise."""
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
        "formerly": record[
            "point_id"
        ],  # its place among points of one name, on which draws of a study depend
        "sample_id": plan.samples[record["sample_id"]],
        "point_id": plan.points[record["point_id"]],
        "cell_id": plan.cells[record["cell_id"]],
        "reference_id": plan.samples[record["reference_id"]],
        "parts": [plan.points[part] for part in record["parts"]],
        "described": recorded(known.described),
        "calibration": calibration,
        "scores": scores,
    }
    return Record.from_json(renamed)


def _curves(record: OldRecord, known: Proven) -> str:
    """The new name of the file of curves that a record was planned on."""
    asked = {key: value for key, value in record["calibration"].items() if key not in FOUND}
    return curves_file(known.described["model"], known.described["solver"], asked)


def _score(record: OldRecord, score: str, plan: Renaming, metrics: Metrics) -> dict[str, Any]:
    """A score with its metric's new hash; what the metric saw of the samples goes by it, too."""
    entry, name = dict(record["scores"][score]), score.partition("@")[0]
    metric = metrics.renamed(name, record["config"]["metrics"].get(name), entry["config_hash"])
    if metric is None:
        return entry
    old, new = (record["sample_id"], record["reference_id"]), plan.samples
    pairs = (None, None) if record["reference"] else (old[1], new[old[1]])
    if not record["parts"]:
        keys = metric.old.key(pairs[0]), metric.new.key(pairs[1])
        plan.observed[old[0], keys[0]] = new[old[0]], keys[1]
    if metric.new.real is not None:
        real = [identity([each.key(None), metric.new.real.digest]) for each in (metric.old, metric.new)]
        plan.observed["real", real[0]] = "real", real[1]
    return entry | {"config_hash": metric.new.config_hash, "metric": dict(metric.new.name_and_version)}


def _merged(names: Mapping[str, str]) -> list[str]:
    """A line for each two points that have become one."""
    first: dict[str, str] = {}
    pairs = [(old, first.setdefault(new, old)) for old, new in names.items()]
    return [
        f"points {old} and {other} are the same by now: remove one" for old, other in pairs if old != other
    ]


def _ranges(record: OldRecord) -> Sequence[Seeds]:
    return [(start, stop) for start, stop in record["seeds"]]


class _Files:
    """Files that results rest on: whether they still hold what they held."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._trajectories: dict[str, Trajectory] = {}
        self._digests: dict[str, str] = {}

    def check(self, record: OldRecord, known: Proven) -> None:
        """Unproven where a policy's file gives another schedule by now than the record's."""
        if not (record["schedule"] and _has_digest(known.described["policy"])):
            return
        policy = build_policy(record["config"]["cache"], "cache")
        if isinstance(policy, DynamicPolicy):
            raise Unproven("nothing says whether its policy's file is still the same")
        try:
            curves = None
            if policy.needs_curves:
                paths = self.folder / record["calibration"]["file"], self.folder / _curves(record, known)
                curves = ErrorCurves.load(paths[0] if paths[0].exists() else paths[1])
            planned = rows(policy.plan(self._trajectory(record), curves))
        except (ValueError, OSError, RuntimeError, TypeError) as error:
            raise Unproven(f"its schedule cannot be planned again of its file ({one_line(error)})") from error
        if planned != bits(record):
            raise Unproven("its policy's file gives another schedule by now")

    def differ(self, calibration: Mapping[str, Any]) -> str | None:
        """Why curves do not belong to a record; None where they do, or are not kept here."""
        path = self.folder / calibration["file"]
        if calibration["file"] not in self._digests:
            try:
                self._digests[calibration["file"]] = ErrorCurves.load(path).digest() if path.exists() else ""
            except ValueError:
                return "the curves are damaged"
        found = self._digests[calibration["file"]]
        return None if found in ("", calibration["digest"]) else "the curves are others than the record's"

    def _trajectory(self, record: OldRecord) -> Trajectory:
        """What a static policy plans on; weights are not needed."""
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
