"""Plans that are made on the calibration batch: from the results folder, or made now, which takes runs of the model."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from smoothbench.caching import InputWeights, Schedule, WeightedSum
from smoothbench.caching.known_rollouts import KnownRollouts
from smoothbench.caching.policy import FitsOnBatch
from smoothbench.planning.calibrated import BatchPlan, BatchPlanning
from smoothbench.planning.chosen_sites import ChosenSites
from smoothbench.protocols import Model
from smoothbench.sampling.on_batch import OnBatch, calibration_batch, in_smaller_batches
from smoothbench.storage.files import read_json
from smoothbench.storage.identity import identity
from smoothbench.storage.results_folder import Store

log = logging.getLogger(__name__)


class Plans(OnBatch[BatchPlanning, BatchPlan]):
    """Plans by what they were made with: read from the results folder, or made now.

    `version` rises when the same planning gives other plans than before.
    """

    version = 1

    def __init__(self, sites: ChosenSites, store: Store, force: bool) -> None:
        super().__init__(sites, store, force)
        self._known = KnownRollouts()

    def file(self, job: BatchPlanning) -> str:
        """Return where a plan lies in the results folder."""
        on = {"calibration": job.spec.calibration, **self.sites.named(job.trajectory.sites)}
        return f"plans/{identity({**job.parts, **on, 'version': self.version})}.json"

    def read(self, path: Path, job: BatchPlanning) -> BatchPlan | None:
        """Read a plan; None where the file is missing, damaged or for other sites."""
        return _stored(path, job)

    def run(self, job: BatchPlanning) -> BatchPlan:
        """Plan on the calibration batch; what earlier points rolled out on the same batch is not sampled again."""
        return plan_on_batch(self.model, job, self._known)

    def to_bytes(self, result: BatchPlan) -> bytes:
        """Return the content of a plan's file."""
        return _to_bytes(result)


def plan_on_batch(model: Model, planning: BatchPlanning, known: KnownRollouts) -> BatchPlan:
    """Plan on the calibration's own seeds, and log what that cost.

    Args: known, the rollouts of the batch that was planned on before; they count as part of the cost. Where memory does
    not suffice, the plan is made anew with the batch cut into smaller ones. Raises MemoryError where not even single
    samples fit.
    """
    calibration, name = planning.spec.calibration, planning.spec.name

    def run(size: int) -> BatchPlan:
        log.info("%s: planning on %d samples, %d at a time", name, calibration["num_samples"], size)
        known.begin((_batch_id(planning), size))
        batch = calibration_batch(
            model, planning.solver, calibration, planning.trajectory, planning.predictor, size, known
        )
        plan, spent = planning.plan(batch), batch.spent
        log.info(
            "%s: planned by %d runs of the calibration batch (%d rollouts, %d of them known): %d evaluations of a "
            "sample, %.3g TMACs",
            *(name, spent.runs, spent.rollouts, known.used, spent.evaluations, spent.macs / 1e12),
        )
        return plan

    return in_smaller_batches(model, calibration["num_samples"], run)


def _batch_id(planning: BatchPlanning) -> str:
    """What the rollouts of a planning depend on beside their schedule."""
    parts = {part: value for part, value in planning.parts.items() if part != "policy"}
    sites = [site.name for site in planning.trajectory.sites]
    return identity({**parts, "calibration": planning.spec.calibration, "sites": sites})


def _to_bytes(plan: BatchPlan) -> bytes:
    data: dict[str, Any] = {"numbers": plan.numbers, "planning": plan.planning}
    if plan.schedule is not None:
        data = _schedule_data(plan.schedule, plan.weights)
    return (json.dumps(data, indent=1, sort_keys=True) + "\n").encode()


def _schedule_data(schedule: Schedule, weights: WeightedSum | None) -> dict[str, Any]:
    return {
        "sites": schedule.sites,
        "kinds": schedule.kinds,
        "bits": schedule.bit_strings(),
        "meta": schedule.meta,
        "weights": weights and _weights_data(weights),
    }


def _weights_data(weights: WeightedSum) -> dict[str, Any]:
    """Weights of outputs alone are a table by site: the digest of such files is in the ids of older results."""
    if isinstance(weights, InputWeights):
        return weights.to_json()
    return {site: [list(row) for row in rows] for site, rows in weights.table.items()}


def _weights_from(data: dict[str, Any] | None, timesteps: Sequence[float]) -> WeightedSum | None:
    if data is None:
        return None
    return InputWeights.from_json(data) if "form" in data else WeightedSum(data, timesteps)


def _stored(path: Path, planning: BatchPlanning) -> BatchPlan | None:
    """A plan from a file; None where it is missing, damaged or for other sites: it is made again."""
    data: Any = read_json(path)
    try:
        if isinstance(planning.method, FitsOnBatch):
            planning.method.fitted(data["numbers"])
            return BatchPlan(numbers=data["numbers"], planning=data["planning"])
        bits = tuple(
            tuple({"1": True, "0": False}[bit] for bit in of_evaluation) for of_evaluation in data["bits"]
        )
        schedule = Schedule(tuple(data["sites"]), tuple(data["kinds"]), bits, data["meta"])
        schedule.check_fits(planning.trajectory.coordinates)
        timesteps = planning.trajectory.coordinates
        weights = _weights_from(data["weights"], timesteps)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if schedule.sites != tuple(site.name for site in planning.trajectory.sites):
        return None
    return BatchPlan(schedule, weights)
