"""Choose the method and the budget of a tuned schedule, on the published results and the model's own calibration."""

import logging
from dataclasses import dataclass, replace

from smoothbench.config.budgets import PRESETS
from smoothbench.config.loss_target import LossTarget
from smoothbench.config.spec import Settings, Spec
from smoothbench.errors import UsageError, one_line
from smoothbench.planning.point import Point
from smoothbench.running.published_methods import Published, leading
from smoothbench.running.trials import Trials
from smoothbench.sibling_packages import ROOT

log = logging.getLogger(__name__)

TRIED = 3  # published methods, the best first, that are tried on the model's calibration
PERCENT = 100  # budgets are searched in whole percents of the uncached MACs


@dataclass(frozen=True)
class Choice:
    """A planned point with its spec, and in one line why it was chosen."""

    spec: Spec
    point: Point
    reason: str


def choose(settings: Settings, trials: Trials) -> Choice:
    """Choose a point within the budget or the bound of the settings; UsageError where there is none."""
    reference, spec = settings.specs[0], settings.specs[-1]
    at = PRESETS["medium"] if spec.at is None else spec.at
    if spec.reference or spec.policy == reference.policy:  # cache=none: no method is asked for
        choice = _best_published(settings, trials, at)
    elif settings.loss is None:
        choice = Choice(spec, trials.planned(spec), "the method of cache=...")
    else:
        choice = Choice(spec, trials.planned(replace(spec, at=at)), "the method of cache=...")
    return choice if settings.loss is None else _within(choice, settings.loss, trials)


def _best_published(settings: Settings, trials: Trials, at: float) -> Choice:
    """The best of the methods that lead the published results at this budget, by the calibration's samples."""
    base, metric = settings.specs[0], trials.metric
    better = 1 if trials.higher_is_better else -1
    tried = list[tuple[float, Spec, Point]]()
    methods = [
        Published(node["family"], node["policy"], node["predictor"]) for node in settings.tune.values()
    ]
    most = TRIED + len(methods)
    for method in [*methods, *leading(ROOT / "results", metric, trials.model.name, at)]:
        spec = method.spec(settings.specs[-1], at)
        try:
            point = trials.planned(spec)
        except UsageError as error:  # for instance one that is trained first
            log.info("%s: left out (%s)", spec.label, one_line(error))
            continue
        if point.sample_id in {other.sample_id for _, _, other in tried}:
            continue  # the same schedule by another name
        tried.append((better * trials.score(point).value, spec, point))
        if len(tried) == most:
            break
    if not tried:
        raise UsageError(
            f"no published method can be planned for {base.label} at {at:.0%} of the MACs: choose one by cache=..."
        )
    _, spec, point = max(tried, key=lambda one: one[0])
    others = ", ".join(f"{other.family} {better * score:.4g}" for score, other, _ in tried)
    return Choice(
        spec,
        point,
        f"best by {metric} on calibration, of tune.* and what leads the published results there: {others}",
    )


def _within(choice: Choice, loss: LossTarget, trials: Trials) -> Choice:
    """Search the smallest budget, in whole percents, at which the interval of the loss lies within its bound."""
    planned: dict[int, Point] = {}

    def meets(percent: int) -> bool:
        try:
            point = trials.planned(replace(choice.spec, at=percent / PERCENT))
        except UsageError:  # no setting is that cheap
            return False
        score = trials.score(point).estimate
        met = loss.met_by(score.low if loss.at_least else score.high)
        log.info("at %d %%: %s %.4g [%.4g, %.4g]", percent, loss.metric, score.value, score.low, score.high)
        if met:
            planned[percent] = point
        return met

    too_little, enough = 0, PERCENT - 1
    if not meets(enough):
        raise UsageError(
            f"loss={loss}: not reached at {enough} % of the MACs by {choice.spec.family}: choose another bound, or "
            "another method by cache=..."
        )
    while enough - too_little > 1:
        middle = (too_little + enough) // 2
        too_little, enough = (too_little, middle) if meets(middle) else (middle, enough)
    reason = f"{choice.reason}; {enough} % is the least that keeps {loss} on calibration"
    return Choice(replace(choice.spec, at=enough / PERCENT), planned[enough], reason)
