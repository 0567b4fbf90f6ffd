"""SmoothCache (arXiv 2411.10510): reuse a branch wherever its calibrated relative error is small."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any, ClassVar

from torch import Tensor

from smoothbench.caching import grid
from smoothbench.caching.at_level import AtLevel
from smoothbench.caching.composition import Composed
from smoothbench.caching.error_curves import ErrorCurves
from smoothbench.caching.fingerprint import DENOISER
from smoothbench.caching.knobs import dearest_within
from smoothbench.caching.policy import ChoosesSites, Policy
from smoothbench.caching.schedule import Schedule
from smoothbench.caching.trajectory import Trajectory


@dataclass(frozen=True)
class SmoothCache(AtLevel):
    """Reuse a branch for up to `k_max` evaluations while its calibrated error at that lag is at most `alpha`.

    `group="kind"` decides for all blocks of a kind at once by their mean error, as published;
    `group="site"` decides for each site by itself. Raises ValueError for a negative alpha.
    """

    alpha: float
    k_max: int = 3
    group: str = "kind"
    needs_curves = True
    name = "smoothcache"
    version = 1
    knob: ClassVar[str] = "alpha"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (isinstance(self.alpha, int | float) and 0 <= self.alpha < inf):
            raise ValueError(f"alpha must be at least 0 (a relative error) and finite, not {self.alpha}")
        if not isinstance(self.k_max, int) or self.k_max < 1:
            raise ValueError(f"k_max must be a whole number from 1, not {self.k_max}")
        if self.group not in ("kind", "site"):
            raise ValueError(f"group is 'kind' or 'site', not {self.group!r}")

    def plan(self, trajectory: Trajectory, curves: ErrorCurves | None = None) -> Schedule:
        """Scan greedily, the longest lag first (section 2.2); the first and last evaluation are always computed."""
        curves = _checked_curves(curves, trajectory, self.k_max)
        columns: dict[str, list[bool]] = {}
        for names, errors in _groups(curves, self.group):
            columns |= dict.fromkeys(names, scan(errors[:, : self.k_max].tolist(), self.alpha))
        bits = [[columns[s.name][e] for s in trajectory.sites] for e in range(trajectory.evals)]
        return Schedule.of(trajectory.sites, bits, self._meta(curves))

    def settings(self, trajectory: Trajectory, curves: ErrorCurves | None = None) -> Sequence[float]:
        """Return every alpha at which the schedule can change: 0 and the calibrated errors, the smallest first."""
        curves = _checked_curves(curves, trajectory, self.k_max)
        groups = [errors[:, : self.k_max].flatten() for _, errors in _groups(curves, self.group)]
        return sorted({0.0, *(x for errors in groups for x in errors.tolist() if isfinite(x))})

    def _meta(self, curves: ErrorCurves) -> dict[str, Any]:
        parameters = {"alpha": self.alpha, "k_max": self.k_max, "group": self.group}
        meta = {"method": "smoothcache", **parameters, "calibration": curves.digest()}
        if curves.denoiser is not None:
            meta[DENOISER] = curves.denoiser
        coordinates = curves.trajectory.coordinates
        return meta | ({"coordinates": [*map(float, coordinates)]} if grid.has_timesteps(coordinates) else {})


def scan(errors: Sequence[Sequence[float]], alpha: float) -> list[bool]:
    """Choose which evaluations are computed, given errors[e][lag - 1] at the later evaluation e."""
    evals, lags = len(errors), len(errors[0])
    computed = [False] * evals
    e = 0
    while e < evals:
        computed[e] = True
        reach = (lag for lag in range(lags, 0, -1) if e + lag < evals and errors[e + lag][lag - 1] <= alpha)
        e += next(reach, 0) + 1
    computed[0] = computed[-1] = True
    return computed


def alpha_for(curves: ErrorCurves, budget: float, k_max: int = 3, group: str = "kind") -> float:
    """Find the smallest alpha whose schedule costs at most `budget`, a share of the denoiser's MACs.

    The schedule changes only where alpha passes a calibrated error, so the search among these is exact.
    Raises ValueError where no alpha gets the cost down to the budget.
    """
    trajectory = curves.trajectory

    def share(alpha: float) -> float:
        return trajectory.share(SmoothCache(alpha, k_max, group).plan(trajectory, curves))

    alphas = SmoothCache(0.0, k_max, group).settings(trajectory, curves)
    return float(dearest_within("alpha", alphas, share, budget).setting)


@dataclass(frozen=True)
class SmoothCacheAtBudget(AtLevel):
    """SmoothCache with the smallest alpha that costs no more MACs than another static policy (by `alpha_for`).

    That policy, `like`, plans without a run of the model, on the sites that SmoothCache decides on. Raises ValueError
    for another kind of policy, and one of another level.
    """

    like: Policy
    k_max: int = 3
    group: str = "kind"
    needs_curves = True
    name = "smoothcache_at"
    version = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        like: Any = self.like
        while isinstance(like, Composed):
            like = like.policy
        if isinstance(like, type | ChoosesSites) or not hasattr(like, "plan"):
            raise ValueError(
                f"SmoothCacheAtBudget's like must be a policy that plans in advance on the sites of its level, as FORA "
                f"does, not {like!r:.60}: for another budget take SmoothCache, at=SHARE or alpha_for(curves, SHARE)"
            )
        if isinstance(like, AtLevel) and like.level != self.level:
            raise ValueError(
                f"SmoothCacheAtBudget decides at level {self.level!r}, and its like, {type(like).__name__}, at "
                f"{like.level!r}: give both the same level"
            )

    def plan(self, trajectory: Trajectory, curves: ErrorCurves | None = None) -> Schedule:
        """Plan the schedule of the smallest alpha that costs no more than that of the policy `like`."""
        curves = _checked_curves(curves, trajectory, self.k_max)
        budget = curves.trajectory.share(self.like.plan(trajectory, curves))
        alpha = alpha_for(curves, budget, self.k_max, self.group)
        return SmoothCache(alpha, self.k_max, self.group).plan(trajectory, curves)


def _checked_curves(curves: ErrorCurves | None, trajectory: Trajectory, k_max: int) -> ErrorCurves:
    if curves is None:
        raise ValueError("SmoothCache plans on error curves: calibrate(...) first")
    if curves.trajectory.evals != trajectory.evals:
        raise ValueError(
            f"the curves were calibrated at {curves.trajectory.evals} evaluations, not {trajectory.evals}"
        )
    names = [[s.name for s in t.sites] for t in (curves.trajectory, trajectory)]
    if names[0] != names[1]:
        raise ValueError(f"the curves are of another model: {names[0][0]} ... against {names[1][0]} ...")
    if not grid.same(curves.trajectory.coordinates, trajectory.coordinates):
        raise ValueError(
            f"the curves were calibrated at timesteps {grid.describe(curves.trajectory.coordinates)}, not "
            f"{grid.describe(trajectory.coordinates)}: calibrate with the settings of this run"
        )
    if curves.k_max < k_max:
        raise ValueError(
            f"the curves go to lag {curves.k_max}, but k_max is {k_max}: calibrate with k_max={k_max}"
        )
    return curves


def _groups(curves: ErrorCurves, group: str) -> list[tuple[list[str], Tensor]]:
    """The names of sites that are decided on together, with their errors [e, lag - 1]."""
    sites = curves.trajectory.sites
    if group == "site":
        return [([s.name], errors) for s, errors in zip(sites, curves.whole_batch(), strict=True)]
    kinds = dict.fromkeys(s.kind for s in sites)
    return [([s.name for s in sites if s.kind == kind], curves.by_kind(kind)) for kind in kinds]
