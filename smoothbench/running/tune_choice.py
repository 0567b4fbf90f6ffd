"""Choose the method and the budget of a tuned schedule, on the published results and the model's own calibration."""

import logging
from dataclasses import dataclass, replace

from smoothbench.config.budgets import PRESETS, name_at
from smoothbench.config.loss_target import LossTarget
from smoothbench.config.spec import Settings, Spec
from smoothbench.errors import UsageError, one_line
from smoothbench.planning.point import Point
from smoothbench.running.published_methods import Published, leading
from smoothbench.running.trials import Trials
from smoothbench.sibling_packages import ROOT

log = logging.getLogger(__name__)

TRIED = 3  # published methods, the best first, that are tried on the model's calibration
STARTS = (PRESETS["medium"], PRESETS["light"], 0.8, 0.95)  # budgets, where a bound is given instead
PERCENT = 100  # budgets are searched in whole percents of the uncached MACs


@dataclass(frozen=True)
class Choice:
    """A planned point with its spec, and in one line why it was chosen."""

    spec: Spec
    point: Point
    reason: str


def choose(settings: Settings, trials: Trials) -> Choice:
    """Choose a point within the budget or the bound of the settings; UsageError where there is none."""
    at = settings.specs[-1].at
    if settings.loss is None:
        return _at(settings, trials, PRESETS["medium"] if at is None else at)
    return _within(_affordable(settings, trials), settings.loss, trials)


def _affordable(settings: Settings, trials: Trials) -> Choice:
    """A method at the first of the budgets from which the search of a bound starts that some setting of it keeps."""
    for at in STARTS[:-1]:
        try:
            return _at(settings, trials, at)
        except UsageError as error:  # of a U-Net, for instance, little can be left out
            log.info("%s", one_line(error))
    return _at(settings, trials, STARTS[-1])


def _at(settings: Settings, trials: Trials, at: float) -> Choice:
    """The method that the settings name, at a budget, or where they name none the best one; UsageError for neither."""
    reference, spec = settings.specs[0], settings.specs[-1]
    if spec.reference or spec.policy == reference.policy:  # cache=none: no method is asked for
        return _best_published(settings, trials, at)
    budget = spec.at if settings.loss is None else at
    return Choice(spec, trials.planned(replace(spec, at=budget)), "the method of cache=...")


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
        f"best by {metric} on calibration samples, of tune.* and the leaders of the published results: {others}",
    )


def _within(choice: Choice, loss: LossTarget, trials: Trials) -> Choice:
    """Search the smallest budget, in whole percents, at which the interval of the loss lies within its bound."""
    planned: dict[int, Point] = {}

    def meets(percent: int) -> bool:
        try:
            point = trials.planned(_at_share(choice.spec, percent / PERCENT))
        except UsageError as error:  # mostly no setting is that cheap
            log.info("at %d %%: %s", percent, one_line(error))
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
    return Choice(_at_share(choice.spec, enough / PERCENT), planned[enough], reason)


def _at_share(spec: Spec, at: float) -> Spec:
    """The spec at another budget; a name that has the budget in it gets the new one."""
    before, after = name_at(spec.family, spec.at or 0), name_at(spec.family, at)
    name, label = (after if text == before else text for text in (spec.name, spec.label))
    return replace(spec, at=at, name=name, label=label)
