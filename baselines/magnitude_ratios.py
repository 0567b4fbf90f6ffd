"""Magnitude ratios: how the size of what the blocks add changes from one evaluation to the next (for MagCache)."""

from itertools import pairwise

import torch
from torch import Tensor
from torch.linalg import vector_norm

from smoothbench.caching import CalibrationBatch, Probe, Recording, Schedule, Trajectory
from smoothbench.caching.json_objects import is_number


def measured(trajectory: Trajectory, batch: CalibrationBatch) -> list[float]:
    """Measure the ratio of each evaluation to the one before on the uncached calibration batch; that of the first is 1.

    It is the mean, over tokens, guidance rows and samples, of the norm of what the stack of blocks adds to the main
    stream, divided by that of the evaluation before.
    """
    recording = batch.record([Probe(site.name) for site in trajectory.sites])
    norms = [vector_norm(_added(trajectory, recording, e), dim=-1) for e in range(trajectory.evals)]
    return [1.0, *(_mean_ratio(old, new) for old, new in pairwise(norms))]


def _mean_ratio(old: Tensor, new: Tensor) -> float:
    """The mean ratio of norms; tokens without one are the padding of a shorter prompt."""
    ratios, exist = new / (old + 1e-8), old > 0
    return (ratios if exist.all() else ratios[exist]).mean().item()


def _added(trajectory: Trajectory, recording: Recording, e: int) -> Tensor:
    """What all spans together add to the main stream at an evaluation, [sample, row, token, channel]."""
    parts = [recording.values[Probe(site.name)][e][0].float() for site in trajectory.sites]
    tokens = min(part.shape[-2] for part in parts)  # where streams are joined, the main one comes last
    return torch.stack([part[..., -tokens:, :] for part in parts]).sum(0)


def macs(trajectory: Trajectory) -> int:
    """The MACs of one uncached evaluation of a sample, by which a model is told from another with as many blocks."""
    return sum(site.macs for site in trajectory.sites) + trajectory.rest_macs


def read(path: str, trajectory: Trajectory) -> list[float]:
    """Read ratios from the file of a schedule that was planned on them.

    Raises ValueError, naming the file and both sides, for a file without them, and for ratios that were measured with
    another model, number of steps or solver.
    """
    schedule = Schedule.load(path, trajectory.sites)
    ratios, known = schedule.meta.get("ratios"), schedule.meta.get("macs")
    if not isinstance(ratios, list) or not all(is_number(ratio) and ratio > 0 for ratio in ratios):
        raise ValueError(
            f"{path} holds no magnitude ratios: stage=calibrate cache=magcache out=FILE writes some"
        )
    try:
        schedule.check_fits(trajectory.coordinates)
    except ValueError as error:
        raise ValueError(f"magnitude ratios {path}: their schedule {error}") from None
    if known != macs(trajectory) or len(ratios) != trajectory.evals:
        raise ValueError(
            f"the {len(ratios)} magnitude ratios of {path} are of a model with {known} MACs an evaluation, and this "
            f"one has {macs(trajectory)} and makes {trajectory.evals}: measure them again"
        )
    return [float(ratio) for ratio in ratios]
