"""A calibration batch of the small DiT: two samples with guidance rows below them."""

from typing import Any

from torch import Tensor

from smoothbench.caching import CalibrationBatch, Schedule, Trajectory, cached, find_sites
from smoothbench.caching.known_rollouts import KnownRollouts
from smoothbench.caching.mac_counter import site_costs
from tests.support.tiny_dit import TinyDiT


def tiny_batch(
    tiny: TinyDiT,
    evals: int,
    predictor: str = "reuse",
    level: str = "span",
    known: KnownRollouts | None = None,
) -> CalibrationBatch:
    """The batch, over the sites of a level with their measured costs."""
    sites, rest = site_costs(
        tiny.denoiser, find_sites(tiny.denoiser, level), lambda: tiny.run(evals=1, batch=1), samples=1
    )
    trajectory = Trajectory(sites, tuple(map(float, range(evals))), rest.total, rest.linear)

    def sample(announcer: Any) -> Tensor:
        return tiny.run(before=announcer.step, evals=evals)[:2]

    return CalibrationBatch(tiny.denoiser, sample, trajectory, predictor, 2, known=known)


def cached_run(tiny: TinyDiT, schedule: Schedule, predictor: str = "reuse") -> Tensor:
    """The final latents of the two samples under a schedule."""
    with cached(tiny.denoiser, schedule, predictor=predictor) as run:
        return tiny.run(before=run.step, evals=schedule.evals)[:2]


def full_evaluations(schedule: Schedule) -> list[int]:
    """The evaluations that compute everything, where each computes all sites or none."""
    assert all(all(bits) or not any(bits) for bits in schedule.computed)
    return [e for e, bits in enumerate(schedule.computed) if bits[0]]
