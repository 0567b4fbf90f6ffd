"""A submission that was checked: what its numbers rest on, record by record."""

from dataclasses import dataclass

from smoothbench.leaderboard.observed import Observations
from smoothbench.leaderboard.submission import Submission
from smoothbench.storage.record import Record

FROM_OBSERVATIONS = "scores computed again from observations"
FROM_SAMPLES = "errors and intervals computed again from per-sample scores"
COSTS = "ids and costs computed again; no per-sample scores"


@dataclass(frozen=True, eq=False)
class HandedIn:
    """A submission whose numbers no check contradicts, with its observations."""

    submission: Submission
    observations: Observations

    @property
    def has_samples(self) -> bool:
        """Whether per-sample scores are there, without which nothing can be ranked."""
        return (self.submission.folder / "scores").is_dir()

    def basis(self, record: Record) -> str:
        """Say what a record's numbers were computed again from."""
        if record.point_id in self.observations.confirmed:
            return FROM_OBSERVATIONS
        return FROM_SAMPLES if self.has_samples and record.scores else COSTS

    @property
    def bases(self) -> dict[str, int]:
        """Count the shown points by what their numbers were computed again from."""
        counts: dict[str, int] = {}
        for _, row in self.submission.frame.iterrows():
            basis = self.basis(self.submission.record_of(row))
            counts[basis] = counts.get(basis, 0) + 1
        return counts
