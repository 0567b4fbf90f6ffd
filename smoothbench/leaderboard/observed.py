"""Compute the scores of a submission again from its observations: the features that metrics saw of each sample."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from metrics.score import BareScore, Score
from smoothbench.config.instantiate import ready
from smoothbench.errors import one_line
from smoothbench.leaderboard.check import Refusal
from smoothbench.leaderboard.check_ids import part_samples
from smoothbench.leaderboard.difference import Difference, compare
from smoothbench.leaderboard.known_parts import are_known, known_model
from smoothbench.leaderboard.submission import Submission
from smoothbench.scoring.scorer import Scorer
from smoothbench.storage.feature_cache import FeatureCache, Features, FeatureStreams
from smoothbench.storage.identity import canonical
from smoothbench.storage.record import Record

KERNELS = 1e-6  # relative: the same features, reduced by another machine's kernels
OBSERVATIONS = "its observations give"


class ReadFeatures(FeatureCache):
    """Reads features and changes nothing: a check leaves what was handed in as it is.

    Features of real samples, which metrics extract where the folder has none, go to a temporary folder.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._temporary = TemporaryDirectory()  # deleted with this object
        self._extracted = FeatureCache(Path(self._temporary.name))

    def read(self, samples: str, key: str, seeds: Sequence[int]) -> Features | None:
        """Read features from the folder, or those that were extracted since."""
        handed_in = super().read(samples, key, seeds)
        return self._extracted.read(samples, key, seeds) if handed_in is None else handed_in

    @contextmanager
    def streaming(self, samples: str, seeds: Sequence[int]) -> Iterator[FeatureStreams]:
        """Take features as a `FeatureCache` does, into the temporary folder."""
        with self._extracted.streaming(samples, seeds) as streams:
            yield streams

    def drop(self, samples: str, key: str) -> None:
        """Leave damaged features where they are."""

    def write(self, samples: str, key: str, seeds: Sequence[int], features: Features) -> None:
        """Leave the folder as it is."""


class Observations:
    """The observations of a submission, and the records whose scores they gave again."""

    def __init__(self, submission: Submission) -> None:
        self.submission = submission
        self.confirmed: set[str] = set()  # point_ids
        self.reasons: dict[str, str] = {}  # why scores could not be computed again, by point_id
        self._scorers: dict[str, Scorer | str] = {}

    def refusals(self) -> Iterator[Refusal]:
        """Yield every score that the observations do not give; none where the folder has no observations."""
        folder = self.submission.folder / "observations"
        if not folder.is_dir():
            return
        for path, record in self.submission.records.items():
            if record.scores and record.status.quality == "done":
                for difference in self._differences(record, folder):
                    yield Refusal(path, difference)

    def _differences(self, record: Record, folder: Path) -> Iterator[Difference]:
        scorer = self._scorer(record, folder)
        if isinstance(scorer, str):
            self.reasons[record.point_id] = scorer
            return
        try:
            scores, _ = scorer.scores(part_samples(record, self.submission.references[record.reference_id]))
        except ValueError as error:  # of a part, or deleted since
            self.reasons[record.point_id] = one_line(error)
            return
        known = scorer.score_names(record.num_samples, record.reference)
        again = {
            name: score
            for name, score in scores.items()
            if name in record.scores
            and record.scores[name].config_hash == scorer.metrics[known[name]].config_hash
        }
        if again.keys() == record.scores.keys():
            self.confirmed.add(record.point_id)
        else:
            self.reasons[record.point_id] = "some of its scores are by another version of their metric"
        for name, score in again.items():
            yield from _score(name, record, score)

    def _scorer(self, record: Record, folder: Path) -> Scorer | str:
        """The metrics of a record; why there are none where they, or their model, cannot be built here."""
        nodes: Any = record.config.get("metrics")
        key = canonical([nodes, record.config.get("model")])
        if key not in self._scorers:
            self._scorers[key] = _built(record, nodes, folder)
        return self._scorers[key]


def _built(record: Record, nodes: Any, folder: Path) -> Scorer | str:
    if not isinstance(nodes, Mapping) or not are_known(nodes):
        return "its metrics are none of conf/"
    model = known_model(record)
    if model is None:
        return "its model is none of conf/, or cannot be built here"
    try:
        return Scorer(dict(nodes), ready(model, "all"), ReadFeatures(folder))
    except Exception as error:  # weights or an extra that is not on this machine
        return one_line(error)


def _score(name: str, record: Record, score: Score | BareScore) -> Iterator[Difference]:
    entry, field = record.scores[name], f"scores.{name}"
    slack = KERNELS * max(abs(score.value), entry.se or 0.0)
    yield from compare(f"{field}.value", entry.value, score.value, OBSERVATIONS, slack)
    if isinstance(score, Score) and entry.se is not None:
        estimate = score.estimate
        yield from compare(f"{field}.se", entry.se, estimate.se, OBSERVATIONS, 1e3 * KERNELS * estimate.se)
        for level, value in (score.quantiles or {}).items():
            stored = (entry.quantiles or {}).get(level)
            yield from compare(f"{field}.quantiles.{level}", stored, value, OBSERVATIONS, slack)
