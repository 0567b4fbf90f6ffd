"""The models, solvers and methods that are measured, composed from `conf/` by name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException

from smoothbench.caching import ErrorCurves, Schedule, Trajectory, find_sites
from smoothbench.caching.mac_counter import MeasuredSites, measured_sites
from smoothbench.caching.policy import DynamicPolicy
from smoothbench.caching.predictor import Predictor
from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build_model, build_policy, build_predictor
from smoothbench.config.spec import Settings, Spec
from smoothbench.errors import UsageError, one_line
from smoothbench.planning.calibrated import BatchPlanning, runs_on_batch
from smoothbench.planning.outcome import needs_curves
from smoothbench.planning.plan import fitting_solver
from smoothbench.protocols import Config, Model, Solver
from smoothbench.sampling.calibrate_point import measure_curves
from smoothbench.sampling.devices import device_of
from smoothbench.sampling.on_batch import calibration_batch
from smoothbench.sibling_packages import ROOT


@dataclass(frozen=True)
class Planned:
    """A cache with its schedule over the sites of a level: `cache` names it as it was asked for, `label` in tables."""

    cache: str
    label: str
    predictor_name: str
    predictor: Predictor
    schedule: Schedule
    trajectory: Trajectory

    @property
    def share(self) -> float:
        """Its MACs as a share of computing everything, attention products included."""
        return self.trajectory.share(self.schedule)


@dataclass(frozen=True)
class Case:
    """A model with its solver, and what is measured on it by level: first what computes everything, then the caches."""

    model: Model
    solver: Solver
    levels: dict[str, tuple[Planned, ...]]

    def uncached(self, level: str) -> Planned:
        """What computes everything, over the sites of a level."""
        return self.levels[level][0]

    def caches(self, level: str) -> tuple[Planned, ...]:
        """The caches whose schedules are over the sites of a level."""
        return self.levels[level][1:]


def case(
    model: str,
    caches: Sequence[str],
    steps: int | None,
    levels: Sequence[str],
    overrides: Sequence[str] = (),
    device: torch.device | None = None,
) -> Case:
    """Compose a model's case: its own solver, and every cache, by default on `device=auto`.

    Args: steps, those of the solver, by default its own number; caches, each a name in conf/cache, then changes of its
    keys, separated by commas (`fora,policy.interval=3,predictor=taylor1`), planned on the sites of every one of
    `levels`; overrides, more changes of the configuration. Raises UsageError for what cannot be composed or planned,
    and for methods that decide at run time.
    """
    names = ("none", *caches)
    composed = [_settings(model, cache, steps, overrides) for cache in names]
    # the reference is no cache
    specs = [composed[0].specs[0], *(of_cache.specs[-1] for of_cache in composed[1:])]
    built = build_model(composed[0].model, device or device_of(composed[0].device))
    solver = fitting_solver(specs[0], built)
    skeleton, call = built.skeleton()
    by_level = {}
    for level in levels:
        sites = measured_sites(skeleton, call, find_sites(skeleton, level))
        planner = _Planner(built, solver, sites)
        by_level[level] = tuple(
            planner.planned(cache, spec) for cache, spec in zip(names, specs, strict=True)
        )
    return Case(built, solver, by_level)


def _settings(model: str, cache: str, steps: int | None, overrides: Sequence[str]) -> Settings:
    name, *changes = cache.split(",")
    words = [f"model={model}", f"cache={name}", *overrides]
    words += [] if steps is None else [f"solver.steps={steps}"]
    words += [f"cache.{change}" for change in changes]
    try:
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            return settings(compose("config", words))
    except HydraException as error:
        raise UsageError(f"{model}, {cache}: {one_line(error)}") from None


class _Planner:
    """Plans caches over the same sites; curves are measured once for each calibration."""

    def __init__(self, model: Model, solver: Solver, sites: MeasuredSites) -> None:
        self._model, self._solver = model, solver
        self._trajectory = Trajectory.over(sites, solver.coordinates)
        self._measure: Callable[[Config], ErrorCurves] = lambda calibration: measure_curves(
            model, self._trajectory.sites, solver, calibration
        )
        self._curves: dict[str, ErrorCurves] = {}

    def planned(self, cache: str, spec: Spec) -> Planned:
        """Plan one cache; UsageError, naming it, where it has no schedule."""
        policy, predictor = build_policy(spec.policy, cache), build_predictor(spec.predictor, cache)
        if isinstance(policy, DynamicPolicy):
            raise UsageError(f"{cache}: only methods that plan in advance are timed here")
        try:
            schedule, fitted = self._plan(spec, policy, predictor)
        except ValueError as error:
            raise UsageError(f"{cache}: {one_line(error)}") from error
        name = spec.predictor if isinstance(spec.predictor, str) else spec.predictor["_target_"]
        return Planned(cache, spec.label, name.rpartition(".")[2], fitted, schedule, self._trajectory)

    def _plan(self, spec: Spec, policy: Any, predictor: Predictor) -> tuple[Schedule, Predictor]:
        """Plan a schedule, on the calibration batch or its error curves where needed, and fit the predictor."""
        calibration = spec.calibration
        curves = self._curves_of(calibration) if needs_curves(policy) else None
        if not runs_on_batch(policy, predictor):
            return policy.plan(self._trajectory, curves), predictor
        samples, on = calibration["num_samples"], (self._solver, calibration, self._trajectory)
        batch = calibration_batch(self._model, *on, predictor, samples)
        planning = BatchPlanning(spec, self._solver, self._trajectory, policy, predictor, {}, curves)
        plan = planning.plan(batch)
        assert plan.schedule is not None  # a method that decides at run time alone has none
        return plan.schedule, predictor if plan.weights is None else cast(Predictor, plan.weights)

    def _curves_of(self, calibration: Config) -> ErrorCurves:
        key = repr(sorted(calibration.items()))
        if key not in self._curves:
            self._curves[key] = self._measure(calibration)
        return self._curves[key]
