"""The models, solvers and methods that are measured, composed from `conf/` by name."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException

from smoothbench.caching import Schedule, find_sites
from smoothbench.caching.mac_counter import MeasuredSites, measured_sites
from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build_model
from smoothbench.config.spec import Settings
from smoothbench.errors import UsageError, one_line
from smoothbench.planning.plan import Curves, plan_points
from smoothbench.planning.point import Point
from smoothbench.protocols import Model, Solver
from smoothbench.sampling.calibrate_point import measure_curves
from smoothbench.sampling.devices import device_of
from smoothbench.sibling_packages import ROOT


@dataclass(frozen=True)
class Case:
    """A model with its solver, and the points that are measured on it, by level; the first one computes everything."""

    model: Model
    solver: Solver
    levels: dict[str, tuple[Point, ...]]

    def uncached(self, level: str) -> Point:
        """The point that computes everything, over the sites of a level."""
        return self.levels[level][0]

    def points(self, level: str) -> tuple[Point, ...]:
        """The points whose schedules are over the sites of a level."""
        return self.levels[level][1:]


def schedule_of(point: Point) -> Schedule:
    """The schedule of a point, which has one."""
    assert isinstance(point.policy, Schedule)
    return point.policy


def case(
    model: str, caches: Sequence[str], steps: int, levels: Sequence[str], overrides: Sequence[str] = ()
) -> Case:
    """Compose a model's case: its own solver with so many steps, and a point for each cache, on `device=auto`.

    Args: caches, each a name in conf/cache, then changes of its keys, separated by commas
    (`fora,policy.interval=3,predictor=taylor1`), planned on the sites of every one of `levels`; overrides, more
    changes of the configuration. Raises UsageError for what cannot be composed or planned, and for methods that decide
    at run time.
    """
    composed = [_settings(model, cache, steps, overrides) for cache in ("none", *caches)]
    specs = [composed[0].specs[0]]
    for cache, settings_of_cache in zip(caches, composed[1:], strict=True):
        specs.append(replace(settings_of_cache.specs[-1], name=cache, order=len(specs)))
    together = replace(composed[0], specs=specs)
    built = build_model(together.model, device_of(together.device))
    skeleton, call = built.skeleton()
    by_level = {
        level: _planned(together, built, measured_sites(skeleton, call, find_sites(skeleton, level)))
        for level in levels
    }
    return Case(built, by_level[levels[0]][0].solver, by_level)


def _settings(model: str, cache: str, steps: int, overrides: Sequence[str]) -> Settings:
    name, *changes = cache.split(",")
    words = [f"model={model}", f"solver.steps={steps}", f"cache={name}", *overrides]
    words += [f"cache.{change}" for change in changes]
    try:
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            return settings(compose("config", words))
    except HydraException as error:
        raise UsageError(f"{model}, {cache}: {one_line(error)}") from None


def _planned(together: Settings, model: Model, sites: MeasuredSites) -> tuple[Point, ...]:
    """The points of all specs, in order; curves are measured once for each calibration."""
    measured: dict[str, Curves] = {}

    def curves(solver: Solver, spec: object) -> Curves:
        calibration = spec.calibration  # type: ignore[attr-defined]
        key = repr(sorted(calibration.items()))
        if key not in measured:
            measured[key] = measure_curves(model, sites[0], solver, calibration), ""
        return measured[key]

    points = plan_points(together, model, sites, curves)
    for point in points:
        if not isinstance(point.policy, Schedule):
            reason = (
                point.planning_error or point.unsupported or "decides at run time: it implies no speed-up"
            )
            raise UsageError(f"{model.name}, {point.spec.name}: {reason}")
    return tuple(points)
