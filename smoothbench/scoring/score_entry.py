"""A score as a record holds it, and the influence of each sample on it as a file."""

from collections.abc import Mapping

import numpy as np

from metrics.inference import Estimate, paired_difference
from metrics.score import BareScore, Score
from smoothbench.scoring.scorer import Scorer
from smoothbench.storage.files import write_arrays
from smoothbench.storage.record import Record
from smoothbench.storage.results_folder import Store
from smoothbench.storage.score_entry import Delta, MetricName, ScoreEntry


def entry(
    scorer: Scorer, name: str, score: Score | BareScore, reference: Score | BareScore | None
) -> ScoreEntry:
    """A score as it stands in a record; the difference to the reference is a paired one.

    A score without the influence of each sample has neither interval nor difference.
    """
    bound_metric = scorer.metrics[name]
    estimate = score.estimate if isinstance(score, Score) else None
    delta = None
    if isinstance(score, Score) and isinstance(reference, Score):
        delta = _difference(paired_difference(score, reference))
    return ScoreEntry(
        value=score.value,
        se=estimate.se if estimate else None,
        low=estimate.low if estimate else None,
        high=estimate.high if estimate else None,
        n=len(score.influence) if isinstance(score, Score) else score.count,
        higher_is_better=bool(bound_metric.metric.higher_is_better),
        flag=score.flag,
        metric=MetricName.from_json(dict(bound_metric.name_and_version)),
        config_hash=bound_metric.config_hash,
        quantiles=dict(score.quantiles) if isinstance(score, Score) and score.quantiles else None,
        blocks=None,
        delta=delta,
    )


def _difference(estimate: Estimate) -> Delta:
    return Delta(estimate.value, estimate.se, estimate.low, estimate.high, estimate.p_value)


def save_scores(store: Store, record: Record, scores: Mapping[str, Score | BareScore]) -> None:
    """Keep the influence of each sample on each score of a record, by which points are compared in pairs.

    Those of other scores that the record has from before stay.
    """
    name, point_id = record.name, record.point_id
    before = store.scores(name, point_id) or {}
    old = {k: v for k, v in before.items() if k in record.scores and k not in scores}
    known = {score: value for score, value in scores.items() if isinstance(value, Score)}
    new = {score: value.influence.astype(np.float32) for score, value in known.items()}
    seeds = np.concatenate([np.arange(start, stop) for start, stop in record.seeds])
    write_arrays(store.scores_path(name, point_id), old | new | {"seeds": seeds})
