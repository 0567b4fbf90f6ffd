"""A submission that was checked: what its numbers rest on, record by record."""

from dataclasses import dataclass

from smoothbench.leaderboard.observed import Observations
from smoothbench.leaderboard.submission import Submission
from smoothbench.storage.record import Record

FROM_OBSERVATIONS = "scores from observations"
FROM_SAMPLES = "standard errors and intervals recomputed from per-sample scores"
COSTS = "ids and costs alone"


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
        """Say which numbers of a record were recomputed, and from what."""
        if record.point_id in self.observations.confirmed:
            return FROM_OBSERVATIONS
        return FROM_SAMPLES if self.has_samples and record.scores else COSTS

    @property
    def bases(self) -> dict[str, int]:
        """Count the shown points by which of their numbers were recomputed."""
        counts: dict[str, int] = {}
        for _, row in self.submission.frame.iterrows():
            basis = self.basis(self.submission.record_of(row))
            counts[basis] = counts.get(basis, 0) + 1
        return counts
