"""Checks of what the scores of the paper's own experiments need: packages, encoders' weights, reference files."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build_model
from smoothbench.errors import one_line
from smoothbench.protocols import Config, Model
from smoothbench.running.doctor.embedded import CPU, composed
from smoothbench.running.doctor.finding import Check, Finding, judged
from smoothbench.running.doctor.paper import experiments
from smoothbench.scoring.scorer import Scorer
from smoothbench.storage.feature_cache import FeatureCache

UNUSED = Path("observations")  # a scorer is built and never scores: nothing is read or written there


def checks() -> list[Check]:
    """The checks of the scores of every experiment in `conf/exp/paper`."""
    return [Check(f"paper/{name}: scores", partial(_scores, name)) for name in experiments()]


def _scores(name: str) -> Iterator[Finding]:
    """One line for each reason why scores cannot be computed here, or one for all that can."""
    plan = settings(composed(f"+exp=paper/{name}", "stage=cost", "device=cpu"))
    model = build_model(plan.model, CPU)
    reasons: dict[str, list[str]] = {}
    for metric, node in plan.metrics.items():
        if reason := _reason(metric, node, model):
            reasons.setdefault(reason, []).append(metric)
    for reason, metrics in reasons.items():
        yield judged(False, f"paper/{name}: {', '.join(metrics)}", reason, otherwise="warn")
    if not reasons:
        yield judged(True, f"paper/{name}: scores", f"all {len(plan.metrics)} can be computed")


def _reason(metric: str, node: Config, model: Model) -> str | None:
    """Why a metric cannot be built here, as a run would say before its first sample."""
    try:
        Scorer({metric: node}, model, FeatureCache(UNUSED), on_device=False)
    except Exception as error:  # an extra that is not installed raises what its library chooses
        return one_line(error).removeprefix(f"metrics.{metric}: ").removeprefix("metrics: encoder: ")
    return None
