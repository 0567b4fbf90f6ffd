"""Check a submission: every number that follows from others is recomputed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smoothbench.errors import UsageError
from smoothbench.leaderboard.check_costs import MeasuredModels, cost_differences
from smoothbench.leaderboard.check_ids import id_differences
from smoothbench.leaderboard.check_scores import score_differences
from smoothbench.leaderboard.check_settings import setting_differences
from smoothbench.leaderboard.difference import Difference
from smoothbench.leaderboard.submission import Submission
from smoothbench.report.tables.two_points import influences
from smoothbench.storage.record import Record
from smoothbench.storage.record_files import record_stem

ON_TRUST = (
    "order, per_block, batches_halved and everything under provenance",
    "what the search for a setting and the planning of a schedule have cost",
    "calibration's seed and draw, where its curves are not beside the record",
    "values of seed blocks of scores that are no mean over samples, without observations",
    "parameters of metrics, without observations",
    "MACs where the model is none of conf/, and linear MACs of a method that decides at run time",
    "numbers that a record repeats from a paper's table",
)


@dataclass(frozen=True)
class Refusal:
    """A record's file and a number in it that its own observations do not give."""

    file: Path
    difference: Difference

    def __str__(self) -> str:
        return f"{self.file}: {self.difference}"


def refusals(submission: Submission, models: MeasuredModels) -> Iterator[Refusal]:
    """Yield every number of a submission that its own observations do not give.

    Args: models, kept between submissions, because a model is measured once. Raises UsageError where per-sample scores
    are damaged.
    """
    samples = PerSampleScores(submission)
    for path, record in submission.records.items():
        for difference in differences(record, submission, samples, models):
            yield Refusal(path, difference)


def differences(
    record: Record, submission: Submission, samples: "PerSampleScores", models: MeasuredModels
) -> Iterator[Difference]:
    """Yield every number of one record that its own observations do not give."""
    references = submission.references
    yield from id_differences(record, references)
    reference = references.get(record.reference_id)
    if reference is None:
        return
    pair = samples.pair_of(record)
    yield from setting_differences(record, submission.folder)
    yield from cost_differences(record, pair, models)
    if record.scores:
        yield from score_differences(record, samples.of(record), pair, samples.of(pair))


class PerSampleScores:
    """Reads the influences of a submission's samples, those of a point once."""

    def __init__(self, submission: Submission) -> None:
        self.submission = submission
        self._read: dict[str, Mapping[str, NDArray[np.float64]] | None] = {}
        self._stems = {record.point_id: record_stem(path) for path, record in submission.records.items()}

    def of(self, record: Record) -> Mapping[str, NDArray[np.float64]] | None:
        """Return the influences by score, and the seeds; None where the folder publishes none at all."""
        if not (self.submission.folder / "scores").is_dir():
            return None
        if record.point_id not in self._read:
            self._read[record.point_id] = self._influences(record)
        return self._read[record.point_id]

    def pair_of(self, record: Record) -> Record:
        """Return the uncached record of the same seeds; that of other seeds where there is none."""
        uncached = [one for one in self.submission.records.values() if one.reference]
        same = [one for one in uncached if one.sample_id == record.reference_id]
        return next((one for one in same if one.seeds == record.seeds), same[0])

    def _influences(self, record: Record) -> Mapping[str, NDArray[np.float64]]:
        row = {"record": self._stems[record.point_id], "name": record.name}
        try:
            by_score = influences(self.submission.folder, row)
        except ValueError as error:
            raise UsageError(f"{error}") from error
        for name in record.scores.keys() & by_score.keys():
            if by_score[name].shape != (record.num_samples,) or not np.isfinite(by_score[name]).all():
                file = self.submission.folder / "scores" / f"{row['record']}.npz"
                raise UsageError(
                    f"{file}: {name} is not one finite number for each of {record.num_samples} samples: hand in the "
                    "scores as the run wrote them"
                )
        return by_score
