"""The record of a point: all results of one cell of an experiment, as one JSON file."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from smoothbench.storage.json_rules import Filled, Matching, Only
from smoothbench.storage.paper_row import PaperRow
from smoothbench.storage.record_cost import Cost
from smoothbench.storage.record_parts import (
    Budget,
    CalibrationRef,
    ModelIdentity,
    Numerics,
    PartCode,
    PointDescription,
    RecordedSchedule,
    SolverSteps,
    Status,
)
from smoothbench.storage.score_entry import ScoreEntry, ScoreName
from smoothbench.storage.typed_json import Stored

SCHEMA = 3  # version of the layout of records and latency files
SeedRange = tuple[int, int]  # half-open
SeedText = Annotated[str, Matching("[0-9]+", "12")]


@dataclass(frozen=True, kw_only=True)
class Record(Stored):
    """The results of one point over its seeds: status, cost, scores, configuration and provenance.

    `cell_id` is the id of the point without its seeds; `same_as` names an earlier point with the same samples; `parts`
    are the point_ids of the seed ranges that were pooled into this record; `reference` marks the uncached baseline
    that the others are paired with, `reference_id` its samples; `seeds` are half-open ranges; `per_block` is the
    number of samples in a full seed block; `reason` says why a status is not done; `degenerate`: the policy skipped
    nothing; `budget`: what the point was allowed to cost; `planned`: what the schedule was planned on; `reported`: the
    row of a paper's table; `captions`: prompts by seed; `described` and `code`: the plug-ins of the point;
    `batch_size` counts for policies that decide at run time;
    `formerly` is the point_id before migration.
    """

    unwritten: ClassVar[tuple[str, ...]] = ("budget", "formerly")

    schema: Annotated[int, Only(SCHEMA, "run it again")]
    experiment: str
    name: str
    order: int
    label: str
    family: str
    point_id: str
    cell_id: str
    sample_id: str
    same_as: str | None
    parts: tuple[str, ...]
    reference: bool
    reference_id: str
    num_samples: int
    per_block: int
    seeds: Annotated[tuple[SeedRange, ...], Filled()]
    status: Status
    reason: str | None
    degenerate: bool
    model: ModelIdentity
    numerics: Numerics
    solver: SolverSteps
    predictor: str | Mapping[str, object]
    calibration: CalibrationRef | None
    budget: Budget | None = None
    planned: str | None = None
    reported: PaperRow | None = None
    schedule: RecordedSchedule | None
    captions: Mapping[SeedText, str] | None = None
    cost: Cost | None
    scores: Mapping[ScoreName, ScoreEntry]
    described: PointDescription | None = None
    code: Mapping[str, PartCode] | None = None
    batch_size: int | None = None
    config: Mapping[str, object]
    provenance: Mapping[str, object]
    formerly: str | None = None

    def check(self, where: str) -> None:
        ends = [end for pair in self.seeds for end in pair]
        rising = ends == sorted(ends) and all(0 <= start < stop for start, stop in self.seeds)
        if not rising or sum(stop - start for start, stop in self.seeds) != self.num_samples:
            shown = str([list(pair) for pair in self.seeds])[:80]
            raise ValueError(
                f"its seeds {shown} are not {self.num_samples} samples in rising half-open ranges"
            )
        if self.status.cost == "done" and self.cost is None:
            raise ValueError("its cost is null, though its status.cost is done")
