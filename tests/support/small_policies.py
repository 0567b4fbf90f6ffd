"""A tiny caching method of each kind: with probes, with observation, with its own weights, with rollouts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from baselines.fora import FORA
from smoothbench.caching import (
    AtLevel,
    CalibrationBatch,
    Evaluation,
    Probe,
    Range,
    Schedule,
    Settings,
    Site,
    Trajectory,
    WeightedSum,
    find_sites,
    split_spans,
)
from smoothbench.caching.predictor import History, Predictor


def change(new: Tensor, old: Tensor) -> float:
    return float((new - old).abs().mean() / old.abs().mean())


@dataclass
class FirstBlock:
    """Reuse all blocks but the first where that one adds nearly what it added when they were last computed."""

    threshold: float
    last: dict[int | str, Tensor] = field(default_factory=dict, init=False, repr=False)
    name = "first_block"
    version = 1

    def choose_sites(self, denoiser: nn.Module) -> tuple[Site, ...]:
        return split_spans(denoiser, first=1)

    def choose_probes(self, denoiser: nn.Module) -> Sequence[Probe]:
        return [Probe("blocks.0-0.span")]

    def decide(self, evaluation: Evaluation) -> Sequence[bool]:
        if evaluation.starts_run:
            self.last.clear()
        return [True, True]

    def decide_after(self, probe: Probe, evaluation: Evaluation, value: Any) -> Sequence[bool]:
        old = self.last.get(evaluation.forward_index)
        computes = old is None or change(value[0], old) > self.threshold
        if computes:
            self.last[evaluation.forward_index] = value[0]
        return [True, computes]


@dataclass
class FirstInput:
    """Reuse the whole stack until the changes of the first attention's input add up to a threshold."""

    threshold: float
    level: str = "span"
    last: dict[int | str, Tensor] = field(default_factory=dict, init=False, repr=False)
    added: dict[int | str, float] = field(default_factory=dict, init=False, repr=False)
    name = "first_input"
    version = 1
    knob: ClassVar[str] = "threshold"

    def settings(self, trajectory: Trajectory) -> Settings:
        return Range(0.0, 100.0)

    def choose_sites(self, denoiser: nn.Module) -> tuple[Site, ...]:
        return find_sites(denoiser, self.level)

    def choose_probes(self, denoiser: nn.Module) -> Sequence[Probe]:
        return [Probe(find_sites(denoiser)[0].name, "input")]

    def decide(self, evaluation: Evaluation) -> Sequence[bool]:
        if evaluation.starts_run:
            self.last.clear()
            self.added.clear()
        return [True] * len(evaluation.sites)

    def decide_after(self, probe: Probe, evaluation: Evaluation, value: Any) -> Sequence[bool]:
        index = evaluation.forward_index
        if index in self.last:
            self.added[index] = self.added.get(index, 0.0) + change(value, self.last[index])
        self.last[index] = value
        computes = evaluation.is_forced or self.added[index] >= self.threshold
        if computes:
            self.added[index] = 0.0
        return [computes] * len(evaluation.sites)


@dataclass
class LastBlockChecks:
    """Predict all blocks but the last; compute them again after the last block differs too much from its prediction."""

    threshold: float
    wrong: dict[int | str, bool] = field(default_factory=dict, init=False, repr=False)
    name = "last_block_checks"
    version = 1

    def choose_sites(self, denoiser: nn.Module) -> tuple[Site, ...]:
        return split_spans(denoiser, last=1)

    def decide(self, evaluation: Evaluation) -> Sequence[bool]:
        if evaluation.starts_run:
            self.wrong.clear()
        return [self.wrong.pop(evaluation.forward_index, False), True]

    def observe(
        self, site: Site, evaluation: Evaluation, predicted: Callable[[], Any], computed: Any
    ) -> None:
        if site == evaluation.sites[-1] and (forecast := predicted()) is not None:
            self.wrong[evaluation.forward_index] = change(forecast[0], computed[0]) > self.threshold


@dataclass(frozen=True)
class ScaledDifference:
    """Add to the last output a share of its last change, which is each site's own: `shares` by site."""

    shares: dict[str, float]
    depth: int = 2
    coordinate: str = "index"
    name = "scaled_difference"
    version = 1

    def bind(self, sites: Sequence[Site], evals: int | None) -> Sequence[Predictor]:
        return [_Scaled(self.shares[site.name]) for site in sites]


@dataclass(frozen=True)
class _Scaled:
    share: float
    depth: int = 2
    coordinate: str = "index"

    def __call__(self, history: History, now: float) -> Tensor:
        if len(history) < 2:
            return history[0][1]
        return history[0][1] + self.share * (history[0][1] - history[1][1])


@dataclass(frozen=True)
class LargestChanges(AtLevel):
    """Compute, beside the first, the `count` evaluations at which the recorded outputs of the sites change most."""

    count: int
    name = "largest_changes"
    version = 1
    knob: ClassVar[str] = "count"

    def settings(self, trajectory: Trajectory) -> Settings:
        return range(trajectory.evals - 1, 0, -1)

    def plan_on(self, trajectory: Trajectory, batch: CalibrationBatch) -> Schedule:
        probes = [Probe(site.name) for site in trajectory.sites]
        recording = batch.record(probes)
        total = sum(recording.gram(probe).sum(0) for probe in probes)
        squares = total.diagonal()
        changes = (squares[1:] + squares[:-1] - 2 * total.diagonal(1)) / squares[:-1]
        chosen = {0, *(changes.argsort(descending=True)[: self.count] + 1).tolist()}
        full = [e in chosen for e in range(trajectory.evals)]
        return Schedule.steps(trajectory.sites, full, {"method": "largest_changes", "count": self.count})


@dataclass(frozen=True)
class LeastDamage(AtLevel):
    """Skip the `count` evaluations that, skipped alone, change the final latents least; from the second on."""

    count: int
    name = "least_damage"
    version = 1
    knob: ClassVar[str] = "count"

    def settings(self, trajectory: Trajectory) -> Settings:
        return range(trajectory.evals)

    def share_at(self, trajectory: Trajectory, setting: float) -> float:
        full = [e < trajectory.evals - setting for e in range(trajectory.evals)]
        return trajectory.share(Schedule.steps(trajectory.sites, full))

    def plan_on(self, trajectory: Trajectory, batch: CalibrationBatch) -> Schedule:
        damage = {}
        for skipped in range(1, trajectory.evals):
            one = Schedule.steps(trajectory.sites, [e != skipped for e in range(trajectory.evals)])
            damage[skipped] = float((batch.rollout(one) - batch.uncached).abs().mean())
        skipped = sorted(damage, key=lambda e: damage[e])[: self.count]
        full = [e not in skipped for e in range(trajectory.evals)]
        return Schedule.steps(trajectory.sites, full, {"method": "least_damage", "count": self.count})


@dataclass(frozen=True)
class LeastSquares:
    """Weights of the last `depth` computed outputs by least squares on the recorded uncached run, for each site."""

    depth: int = 2
    ridge: float = 1e-6
    coordinate: str = "index"
    name = "least_squares"
    version = 1

    def fit(self, schedule: Schedule, batch: CalibrationBatch) -> WeightedSum:
        recording = batch.record([Probe(site) for site in schedule.sites])
        table = {}
        for i, site in enumerate(schedule.sites):
            gram = recording.gram(Probe(site)).sum(0)
            table[site] = [self._row(gram, schedule, i, e) for e in range(schedule.evals)]
        return WeightedSum(table)

    def _row(self, gram: Tensor, schedule: Schedule, i: int, e: int) -> list[float]:
        if schedule.computed[e][i]:
            return []
        kept = [k for k in range(e - 1, -1, -1) if schedule.computed[k][i]][: self.depth]
        normal = gram[kept][:, kept]
        normal = normal + self.ridge * normal.diagonal().mean() * torch.eye(len(kept))
        weights: list[float] = torch.linalg.solve(normal, gram[kept, e]).tolist()
        return weights


@dataclass
class FarProbe(FirstInput):
    """Look at a block that no small model has."""

    threshold: float = 0.1
    name = "far_probe"
    version = 1

    def choose_probes(self, denoiser: nn.Module) -> Sequence[Probe]:
        return [Probe("blocks.99.ff", "input")]


@dataclass(frozen=True)
class OneKind(FORA):
    """FORA on the branches of one kind; all others are always computed."""

    kind: str = field(default="ff", kw_only=True)
    name = "one_kind"
    version = 1

    def choose_sites(self, denoiser: nn.Module) -> tuple[Site, ...]:
        return tuple(site for site in find_sites(denoiser) if site.kind == self.kind)
